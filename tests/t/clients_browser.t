#!/usr/bin/perl

# see tests/clients/browser.mjs

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Clients;

Clients::run('browser', needs => [qw(npm chromium)]);
