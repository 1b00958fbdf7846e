#!/usr/bin/perl

# kill -9 of a worker, or of everything, under load.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until);
use Test::More;

my $rounds = 20;

my $backend = NgxAsync::Backend->new;
my $nginx = NgxAsync->new(workers => 3,
    http => 'async_queue default concurrency=32;',
    locations => <<"END");
        location / { async on; proxy_pass $backend->{url}; }
END

my $load = NgxAsync::Load->new($nginx);

my @before;

for my $round (1 .. $rounds) {

    my $n = $load->jobs;

    wait_until(sub { $load->jobs >= $n + 8 }, 20)
        or fail("jobs are accepted in round $round");

    # so that no job is cut off again and again

    wait_until(sub {
        @before = grep { $load->look($_->[0]) =~ /^(pending)?$/ } @before;
        return !@before;
    }, 20)
        or fail("jobs before the last kill have ended in round $round");

    @before = ($load->jobs)[$n .. $load->jobs - 1];

    if ($round % 3 == 0) {
        $nginx->kill_all;
        $nginx->start;
        next;
    }

    my $pid = $nginx->kill_worker;

    wait_until(sub { $nginx->workers == 3 }) or fail('workers are replaced');
}

$load->stop;

NgxAsync::ends_well($load, $backend, interrupted => 1);

cmp_ok(scalar $load->jobs, '>', $rounds * 8, 'enough jobs');
cmp_ok(scalar $load->noted('whole'), '>', 20, 'enough results were read');

$nginx->stop;

done_testing;
