#!/usr/bin/perl

# Limits that change with a reload hold for jobs that wait already, and old
# workers take none of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until request);
use Test::More;

my $backend = NgxAsync::Backend->new;

sub queue
{
    return (http => "async_queue default per=\$arg_client @_;");
}

my $nginx = NgxAsync->new(workers => 2, queue('concurrency=1'),
    locations => "location / { async on; proxy_pass $backend->{url}; }");

my $n = 0;


# jobs of clients in turn that are held at the backend until they are released

sub jobs
{
    my ($name, $count, @clients) = @_;

    @clients = 'c' unless @clients;

    return map {
        $nginx->submit('POST', "/?token=$name$_&gate=$name$_&client="
                               . $clients[$_ % @clients] . "&group=$name")
    } 1 .. $count;
}

sub begun
{
    my ($name) = @_;

    return scalar grep { $_->[0] eq 'begin' && $_->[1] =~ /^$name\d/ }
                  $backend->lines;
}

sub begin
{
    my ($name, $count) = @_;

    return wait_until(sub { begun($name) >= $count }, 20);
}

sub end
{
    my ($name, @jobs) = @_;

    $backend->release("$name$_") for 1 .. @jobs;

    is_deeply([ grep { $nginx->wait_end($_)->{status} ne 'succeeded' } @jobs ],
              [], "$name: all of them end");
}


# how many of them run, as the store has it

sub running
{
    return scalar grep { $nginx->status($_) eq 'running' } @_;
}


# what some have reached at most since there were that many lines

sub peak
{
    my ($name, $from) = @_;

    my @lines = $backend->lines;
    my $peak = 0;

    for (@lines[$from .. $#lines]) {
        $peak = $_->[3] if $_->[0] eq 'begin' && $_->[1] =~ /^$name\d/
                           && $_->[3] > $peak;
    }

    return $peak;
}


# concurrency: more

my @jobs = jobs('more', 6);
begin('more', 1) or fail('one runs');

$nginx->reload(queue('concurrency=4'));

ok(begin('more', 4), 'a higher concurrency: those that wait start');
is(peak('more', 0), 4, 'together with the one that ran before');
end('more', @jobs);
is(peak('more', 0), 4, 'no more than that at any time');


# concurrency: less

@jobs = jobs('less', 12);
begin('less', 4) or fail('four run');

my $from = $backend->lines;
my @old = $nginx->reload(queue('concurrency=1'));

$backend->release("less$_") for 1 .. 3;
is($nginx->wait_end($jobs[$_])->{status}, 'succeeded', 'an old call ends')
    for 0 .. 2;
is(begun('less'), 4, 'a lower concurrency: none starts beside the last one');

# the old worker that has it leaves, and the others go on

$backend->release('less4');
ok($nginx->left(\@old), 'old workers take none of those that wait');
ok(begin('less', 5), 'the next one starts');
end('less', @jobs);
is(peak('less', $from), 1, 'one by one');


# Concurrency: less, while no value is limited any more.  Of those that may
# start then, the old workers, which have the old concurrency, start none.

$nginx->reload(workers => 4, queue('concurrency=8 per_concurrency=1'));
@jobs = jobs('both', 12, 'a', 'b', 'd');
begin('both', 3) or fail('one of each value runs');

$from = $backend->lines;
$nginx->reload(queue('concurrency=2'));
$backend->release('both1');
$nginx->wait_end($jobs[0]);
is(running(@jobs), 2, 'a lower concurrency holds without per_concurrency');
end('both', @jobs);
cmp_ok(peak('both', $from), '<=', 2, 'no more start at any time');


# per_concurrency: less, then more

$nginx->reload(workers => 2, queue('concurrency=8'));
my @block = jobs('block', 8, 'z');
begin('block', 8) or fail('all slots are taken');
@jobs = jobs('value', 6);

$nginx->reload(queue('concurrency=8 per_concurrency=2'));
end('block', @block);
begin('value', 2) or fail('two start');

my $other = $nginx->submit('POST', '/?token=other&client=o');
is($nginx->wait_end($other)->{status}, 'succeeded', 'another value runs');
is(begun('value'), 2, 'per_concurrency holds for those that waited');

$nginx->reload(queue('concurrency=8 per_concurrency=5'));
ok(begin('value', 5), 'a higher one lets them start');
is($nginx->status($jobs[5]), 'notStarted', 'but for the last');

$nginx->reload(queue('concurrency=8'));
ok(begin('value', 6), 'until there is none');
end('value', @jobs);


# backlog and per_backlog

sub code
{
    my ($client) = @_;

    return request($nginx->{port}, 'POST',
                   "/?token=full&client=$client")->{status};
}

$nginx->reload(queue('concurrency=1 backlog=5'));
@jobs = jobs('full', 4);
begin('full', 1) or fail('one runs');

$nginx->reload(queue('concurrency=1 backlog=2'));
is(code('c'), 503, 'a lower backlog counts those that wait');
is($nginx->json("/jobs/$jobs[$_]")->{position}, $_, 'which stay')
    for 1 .. 3;

$nginx->reload(queue('concurrency=1 per_backlog=3'));
is(code('c'), 429, 'so does per_backlog');
is(code('d'), 202, 'for each value');

$nginx->reload(queue('concurrency=1 per_backlog=4'));
is(code('c'), 202, 'a higher one has room');
is(code('c'), 429, 'for one');

end('full', @jobs);
wait_until(sub { $backend->seen('full', 'end') == 2 }) or fail('the rest ends');

$nginx->stop;


# Workers of two binaries: those of the old one are not told to leave, and go by
# the limit of the new one.

sub upgrade
{
    my ($args) = @_;

    my $old = $nginx->{pid};
    my $new = $nginx->upgrade(queue($args))
        or BAIL_OUT('no upgrade');

    return sub {
        kill 'QUIT', $old;
        $nginx->ended or fail('the old binary leaves');
        $nginx->{pid} = $new;
    };
}

$nginx->configure(daemon => 1, queue('concurrency=8 per_concurrency=1'));
$nginx->start;

@jobs = jobs('two', 12, 'a', 'b', 'd');
begin('two', 3) or fail('one of each value runs');

$from = $backend->lines;
my $leave = upgrade('concurrency=2');
$backend->release('two1');
$nginx->wait_end($jobs[0]);
is(running(@jobs), 2, 'a lower concurrency holds for an old binary');
end('two', @jobs);
cmp_ok(peak('two', $from), '<=', 2, 'no more start at any time');
$leave->();

# two calls are run by two workers, once the first of them has ended

@jobs = jobs('one', 6);
begin('one', 2) or fail('two run');
$backend->release('one1');
begin('one', 3) or fail('the next one runs');

$from = $backend->lines;
$leave = upgrade('concurrency=1');
$backend->release('one2');
$nginx->wait_end($jobs[1]);
is(running(@jobs), 1, 'no worker keeps a slot that is one too many');
end('one', @jobs);
is(peak('one', $from), 1, 'then they run one by one');
$leave->();

@jobs = jobs('three', 12);
begin('three', 1) or fail('one runs');

$from = $backend->lines;
$leave = upgrade('concurrency=3');
ok(begin('three', 3), 'more start by a higher one');
end('three', @jobs);
is(peak('three', $from), 3, 'and no more than that');
$leave->();

$nginx->stop;

is(join(' ', $backend->repeated('POST')), 'full', 'no POST ran twice');

done_testing;
