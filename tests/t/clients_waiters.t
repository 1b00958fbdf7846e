#!/usr/bin/perl

# see tests/clients/waiters.mjs

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Clients;

Clients::run('waiters');
