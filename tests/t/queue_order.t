#!/usr/bin/perl

# In which order jobs start: urgency, then turns of the per= values, then as
# they came.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until request);
use Test::More;

my $backend = NgxAsync::Backend->new;
my $nginx = NgxAsync->new(workers => 2, http => <<'END', locations => <<"END2");
    async_queue one concurrency=1;
    async_queue fair concurrency=1 per=$arg_client;
    async_queue mixed concurrency=1 per=$arg_client;
    async_queue levels concurrency=1 per=$arg_client per_concurrency=1;
    async_queue single concurrency=4 per=$arg_client per_concurrency=1;
    async_queue timeout concurrency=1;
END
        location /one/ { async on queue=one; proxy_pass $backend->{url}/; }
        location /fair/ { async on queue=fair; proxy_pass $backend->{url}/; }
        location /mixed/ { async on queue=mixed; proxy_pass $backend->{url}/; }
        location /levels/ { async on queue=levels;
                            proxy_pass $backend->{url}/; }
        location /single/ {
            async on queue=single;
            proxy_pass $backend->{url}/;
        }
        location /timeout/ { async on queue=timeout; async_timeout 200ms;
                             proxy_pass $backend->{url}/; }
END2


# the tokens of those that began, in their order

sub began
{
    return grep { $_ ne 'block' }
           map { $_->[1] } grep { $_->[0] eq 'begin' } $backend->lines;
}

sub blocked
{
    my ($uri, $gate, $client) = (@_, 'z');

    my $id = $nginx->submit('GET',
                            "$uri?token=block&gate=$gate&client=$client");

    wait_until(sub { $nginx->status($id) eq 'running' })
        or fail('a call takes the slot');

    return $id;
}


# first come, first served; urgency goes before

my @jobs = (blocked('/one/', 'g1'));
my $mark = began();

push @jobs, $nginx->submit('GET', "/one/?token=n$_") for 1 .. 5;
push @jobs, $nginx->submit('GET', "/one/?token=low",
                           headers => [ 'Priority: u=7' ]);
push @jobs, $nginx->submit('GET', "/one/?token=urgent",
                           headers => [ 'Priority: u=0, i' ]);
push @jobs, $nginx->submit('GET', "/one/?token=bare",
                           headers => [ 'Priority: 1' ]);

is($nginx->json("/jobs/$jobs[-2]")->{position}, 1, 'the most urgent is next');
is($nginx->json("/jobs/$jobs[-1]")->{position}, 2, 'a bare number works');
is($nginx->json("/jobs/$jobs[1]")->{position}, 3, 'then the first that came');
is($nginx->json("/jobs/$jobs[6]")->{position}, 8, 'the least urgent is last');

$backend->release('g1');
$nginx->wait_end($_) for @jobs;

is_deeply([ (began())[$mark .. $mark + 7] ],
          [ qw(urgent bare n1 n2 n3 n4 n5 low) ], 'and so they start');


# turns

@jobs = (blocked('/fair/', 'g2'));
$mark = began();

push @jobs, $nginx->submit('GET', "/fair/?token=a$_&client=a") for 1 .. 30;
push @jobs, $nginx->submit('GET', "/fair/?token=b$_&client=b") for 1 .. 3;

$backend->release('g2');
$nginx->wait_end($_) for @jobs;

my @order = began();
my ($last) = grep { $order[$_] eq 'b3' } 0 .. $#order;

cmp_ok($last - $mark, '<=', 7, 'the second client is not behind the first');


# a value that comes first, after jobs that have none

@jobs = (blocked('/mixed/', 'g3', ''));
$mark = began();

push @jobs, $nginx->submit('GET', "/mixed/?token=m$_") for 1 .. 20;
push @jobs, $nginx->submit('GET', '/mixed/?token=first&client=a');

$backend->release('g3');
$nginx->wait_end($_) for @jobs;

@order = began();
($last) = grep { $order[$_] eq 'first' } 0 .. $#order;

cmp_ok($last - $mark, '<=', 2, 'the first value takes its turn at once');


# urgency, among jobs of one value that start singly

@jobs = (blocked('/levels/', 'g4'));
$mark = began();

push @jobs, $nginx->submit('GET', '/levels/?token=lazy&client=a',
                           headers => [ 'Priority: u=5' ]);
push @jobs, $nginx->submit('GET', "/levels/?token=o$_&client=o$_") for 1 .. 3;
push @jobs, $nginx->submit('GET', '/levels/?token=soon&client=a',
                           headers => [ 'Priority: u=0' ]);

is($nginx->json("/jobs/$jobs[-1]")->{position}, 1,
   'an urgent job is before a less urgent one of its value');

$backend->release('g4');
$nginx->wait_end($_) for @jobs;

is_deeply([ (began())[$mark .. $mark + 4] ], [ qw(soon o1 o2 o3 lazy) ],
          'and so it starts');


# per_concurrency

my @first = map {
    $nginx->submit('GET', "/single/?token=v$_&client=v&gate=v$_")
} 1 .. 3;
my $other = $nginx->submit('GET', '/single/?token=w&client=w');

is($nginx->wait_end($other)->{status}, 'succeeded',
   'another value is not behind one at its limit');
is((scalar grep { $_ =~ /^v\d/ } began()), 1, 'which has one call at a time');

for (1 .. 3) {
    wait_until(sub { (grep { /^v\d/ } began()) >= $_ });
    $backend->release("v$_");
}

is($nginx->wait_end($_)->{status}, 'succeeded', 'all of them end') for @first;


# async_timeout

my $job = $nginx->submit('GET', '/timeout/?token=t&gate=never');
my $d = $nginx->wait_end($job);

is($d->{status}, 'failed', 'a call that takes too long');
is($d->{error}{code}, 'timeout', 'fails with timeout');
is(request($nginx->{port}, 'GET', "/jobs/$job/result")->{status}, 504,
   'and has no response');
ok($backend->wait_for('t', 'closed'), 'its connection is closed');

$nginx->stop;

done_testing;
