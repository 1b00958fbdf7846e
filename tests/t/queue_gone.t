#!/usr/bin/perl

# A queue that is gone from the configuration: its jobs go to the queue that
# their location has now, each once, in the order in which all of them came,
# whatever happens to the workers that do it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until request);
use Test::More;

my $backend = NgxAsync::Backend->new;

sub location
{
    my ($uri, $queue) = @_;

    return "location $uri { async on queue=$queue;"
           . " proxy_pass $backend->{url}/; }";
}

my $nginx = NgxAsync->new(workers => 2,
    http => 'async_queue old concurrency=1; async_queue new concurrency=1;',
    locations => location('/a/', 'old') . location('/b/', 'new'));

# both queues are blocked, by calls that the old workers keep

my @blocks = map { $nginx->submit('GET', "/$_/?token=block&gate=g") } qw(a b);

wait_until(sub { $backend->seen('block') == 2 }) or fail('calls are running');

my (@jobs, @order);

for my $n (1 .. 400) {
    my $uri = $n % 3 ? '/a/' : '/b/';
    my $u = $n % 100 ? 3 : 1;

    push @jobs, $nginx->submit('POST', "$uri?token=j$n",
                               headers => [ "Priority: u=$u" ]);
    push @{ $order[$u] }, "j$n";
}

my $from = @{ $order[1] };

my @old = $nginx->reload(http => 'async_queue new concurrency=1;',
    locations => location('/a/', 'new') . location('/b/', 'new'));

# whoever moves them is killed

for (1 .. 3) {
    my @workers = $nginx->workers;

    $nginx->kill_worker($_) for @workers;

    wait_until(sub {
        my %now = map { $_ => 1 } $nginx->workers;
        return keys %now == 2 && !grep { $now{$_} } @workers;
    }) or fail('workers are replaced');
}

ok(wait_until(sub { $nginx->json("/jobs/$jobs[398]")->{position} == 400 }, 20),
   'all jobs are in one queue');
is($nginx->json("/jobs/$jobs[0]")->{queue}, 'new', 'the new one');
is($nginx->json("/jobs/$jobs[0]")->{position}, $from + 1, 'in their order');

$backend->release('g');

is_deeply([ grep { $nginx->wait_end($_, 60)->{status} ne 'succeeded' }
            @jobs, @blocks ], [], 'all of them end');

# of those that are less urgent one starts now and then before its turn

my %start;
my @began = grep { $_ ne 'block' }
            map { $_->[1] } grep { $_->[0] eq 'begin' } $backend->lines;

is(scalar @began, 400, 'each ran once');
is(join(' ', grep { my $n = $_; grep { $n eq $_ } @{ $order[1] } } @began),
   join(' ', @{ $order[1] }), 'those that are urgent in their order');
is(join(' ', grep { my $n = $_; !grep { $n eq $_ } @{ $order[1] } } @began),
   join(' ', @{ $order[3] }), 'and the others in theirs');
ok((grep { $began[$_] eq 'j400' } 0 .. 4), 'urgency counts');

$nginx->left(\@old);
$nginx->stop;


# J/retry of a job whose queue is gone: what looks for such jobs now and then,
# every ten seconds, is not waited for

sub kept
{
    my ($queue) = @_;

    return "location / { async on queue=$queue; async_keep_request 1h;"
           . " proxy_pass $backend->{url}; }";
}

$nginx = NgxAsync->new(http => 'async_queue old; async_queue new;',
                       locations => kept('old'));

my @failed = map { $nginx->submit('POST', "/?token=f$_&status=500") } 1 .. 3;

$nginx->wait_end($_) for @failed;

$nginx->left([ $nginx->reload(http => 'async_queue new;',
                              locations => kept('new')) ]);

for my $n (1 .. 3) {
    is($nginx->request_to('POST', "/jobs/$failed[$n - 1]/retry")->{status},
       202, "job $n is run again");
    ok(wait_until(sub { $backend->seen("f$n") == 2 }, 5), 'at once');
}

$nginx->stop;

done_testing;
