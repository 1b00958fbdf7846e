#!/usr/bin/perl

# Turns at size: a client that comes behind 10,000 jobs of another one is
# served as if those were few.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until);
use Test::More;

my $slots = 4;
my $many = 10_000;

my $backend = NgxAsync::Backend->new;
my $nginx = NgxAsync->new(workers => 2,
    http => "async_queue default concurrency=$slots per=\$arg_client;",
    locations => "location / { async on; proxy_pass $backend->{url}; }");

# nothing else starts while all slots are taken

my @block = map { $nginx->submit('GET', "/?token=block&gate=g&client=z$_") }
            1 .. $slots;

wait_until(sub { $backend->seen('block') == $slots }) or fail('all slots');

my @clients = map {
    NgxAsync::in_background(sub {
        $nginx->submit('POST', '/?token=a&client=a') for 1 .. $many / 4;
    })
} 1 .. 4;

ok(NgxAsync::reap($_, 60), 'one client has queued its jobs') for @clients;

my @few = map { $nginx->submit('POST', "/?token=b&client=b") } 1 .. 10;

# it is last by the time of its arrival, and the tenth of its own has nine of
# its own and ten of the other's before it

my $p = $nginx->json("/jobs/$few[9]")->{position};

cmp_ok($p, '>=', 10, 'its own come before the last one');
cmp_ok($p, '<=', 21, 'and as many of the other client');

$backend->release('g');

is($nginx->wait_end($_)->{status}, 'succeeded', 'its jobs end') for @few;

my @began = grep { $_ ne 'block' }
            map { $_->[1] } grep { $_->[0] eq 'begin' } $backend->lines;
my @at = grep { $began[$_] eq 'b' } 0 .. $#began;

is(scalar @at, 10, 'they ran once');

# what has started together may reach the backend in any order

cmp_ok($at[9], '<=', 20 + 2 * $slots, 'the last of them is soon served');
cmp_ok($at[4], '<=', 10 + 2 * $slots, 'and so are those before it');

$nginx->stop('TERM');

done_testing;
