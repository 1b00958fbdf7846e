#!/usr/bin/perl

# see tests/clients/http3.mjs

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Clients;
use Test::More;

my $binary = $ENV{TEST_NGINX_BINARY} || 'nginx';

plan skip_all => 'this nginx has no HTTP/3'
    unless `$binary -V 2>&1` =~ /http_v3_module/;

Clients::run('http3', needs => [qw(npm chromium openssl)]);
