#!/usr/bin/perl

# see tests/clients/odd.mjs

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Clients;

Clients::run('odd');
