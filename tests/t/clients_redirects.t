#!/usr/bin/perl

# see tests/clients/redirects.mjs

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Clients;

Clients::run('redirects', needs => [qw(curl python3)]);
