#!/usr/bin/perl

# see tests/clients/events.mjs

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Clients;

Clients::run('events', needs => [qw(npm)]);
