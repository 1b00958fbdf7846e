#!/usr/bin/perl

# The concurrency of a queue over four workers, through reloads and kills.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until);
use Test::More;

my $limit = 5;

my $backend = NgxAsync::Backend->new;
my $nginx = NgxAsync->new(workers => 4,
    http => "async_queue default concurrency=$limit;",
    locations => "location / { async on; proxy_pass $backend->{url}; }");

my $count = 5000;
my $load = NgxAsync::Load->new($nginx, delay => 10, big => 0.01, rate => 0,
                               clients => 4, count => $count / 4);

for my $round (1 .. 20) {

    wait_until(sub { $load->jobs >= $count / 22 * $round }, 30)
        or fail("jobs are accepted in round $round");

    if ($round % 2) {
        $nginx->reload;
        next;
    }

    $nginx->kill_worker;

    wait_until(sub { $nginx->workers == 4 }) or fail('workers are replaced');
}

$load->sent(60) or fail('all requests are sent');
$load->stop;

cmp_ok(scalar $load->jobs, '>=', $count * 0.9,
       'few requests met a worker that was killed');

NgxAsync::ends_well($load, $backend, interrupted => 1);

is($backend->peak, $limit, 'the limit was reached, and not exceeded');


# slots of the dead are free again: as many calls as ever run at once

my @jobs = map { $nginx->submit('GET', "/?token=all$_&gate=all") } 1 .. $limit;

ok(wait_until(sub { !grep { !$backend->seen("all$_") } 1 .. $limit }),
   'all slots can be used');

my $more = $nginx->submit('GET', '/?token=more');

is($nginx->status($more), 'notStarted', 'and no more');

$nginx->kill_worker($_) for $nginx->workers;

wait_until(sub { $nginx->workers == 4 }) or fail('workers are replaced');

ok(wait_until(sub {
    (grep { $backend->seen("all$_") >= 2 } 1 .. $limit) == $limit
}), 'slots of dead workers are given back');

$backend->release('all');

is($nginx->wait_end($_)->{status}, 'succeeded', 'it ends') for @jobs, $more;
is($backend->peak, $limit, 'the limit still holds');


# a lower limit counts for what waits

$nginx->reload(http => 'async_queue default concurrency=1;');

my $mark = scalar $backend->lines;

@jobs = map { $nginx->submit('GET', "/?token=low$_&delay=20&group=low") }
        1 .. 8;

is($nginx->wait_end($_)->{status}, 'succeeded', 'it ends') for @jobs;

my $peak = 0;

for (($backend->lines)[$mark .. scalar($backend->lines) - 1]) {
    $peak = $_->[3] if $_->[0] eq 'begin' && $_->[3] > $peak;
}

is($peak, 1, 'a lower limit after a reload');

$nginx->stop;

done_testing;
