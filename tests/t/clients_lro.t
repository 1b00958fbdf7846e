#!/usr/bin/perl

# see tests/clients/lro.mjs

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Clients;

Clients::run('lro', needs => [qw(npm)]);
