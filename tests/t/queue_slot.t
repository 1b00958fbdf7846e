#!/usr/bin/perl

# The slot of a call that ends goes to the job that is first then: also if its
# worker leaves, hands the slot to another one, or was killed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until);
use Test::More;

my $rounds = 6;
my $kinds = 'file|reload|peer|kill|once|all';

my $backend = NgxAsync::Backend->new;

# a queue for each round: every sixteenth start is a less urgent one

my @names = map { my $kind = $_; map { "$kind$_" } 1 .. $rounds }
            split /\|/, $kinds;

my $nginx = NgxAsync->new(workers => 4,
    http => join('', map { "async_queue $_ concurrency=2 per=\$arg_client"
                           . " per_concurrency=1;\n" } @names),
    locations => join('', map { <<"END" } @names));
        location /$_/ {
            async on queue=$_;
            set \$size &size=\$arg_size;
            proxy_pass $backend->{url}/?token=\$arg_token.\$pid&gate=\$arg_gate\$size;
        }
END


# An urgent job of a value and one without a value run, each in a worker of its
# own unless "together", and more of both wait.

my ($queue, %ids);

sub submit
{
    my ($name, $urgency, $client, $size) = @_;

    my $token = "$queue-$name";

    $ids{$name} = $nginx->submit('POST',
        "/$queue/?token=$token&gate=$token&client=$client"
        . ($size ? "&size=$size" : ''),
        headers => [ "Priority: u=$urgency" ]);
}


sub begun
{
    return map { $_->[1] =~ /^$queue-(\w+)\.(\d+)$/ ? [ $1, $2 ] : () }
           grep { $_->[0] eq 'begin' } $backend->lines;
}


sub begin
{
    my ($n) = @_;

    return wait_until(sub { begun() >= $n }, 20);
}


sub prepare
{
    my ($together, $size) = @_;

    %ids = ();

    submit('a1', 0, 'a', $size);
    submit('o0', 6, '');
    begin(2) or fail('two run');

    submit('o1', 6, '');

    if (!$together) {
        $backend->release("$queue-o0");
        begin(3) or fail('one begins elsewhere');
    }

    submit("a$_", 0, 'a') for 2, 3;
    submit("o$_", 6, '') for 2, 3;

    my %pid = map { $_->[0] => $_->[1] } begun();

    return @pid{'a1', $together ? 'o0' : 'o1'};
}


sub finish
{
    $backend->release("$queue-$_") for keys %ids;

    is_deeply([ grep { $nginx->wait_end($_)->{status} !~ /succeeded|failed/ }
                values %ids ],
              [], "$queue: all of them end");
}


# what begins after code was run

sub after
{
    my ($n, $code) = @_;

    my $from = begun();

    $code->();
    begin($from + $n) or fail("$queue: a job begins");

    my @new = map { $_->[0] } begun();

    return join ' ', sort @new[$from .. $#new];
}


# whether the worker that was to send it was killed before it did

sub claimed
{
    my ($name) = @_;

    my $job = $nginx->json("/jobs/$ids{$name}") // {};

    return ($job->{error}{code} // '') eq 'interrupted'
           && !grep { $_->[0] eq $name } begun();
}


for my $round (1 .. $rounds) {

    # which is synced before the end is stored

    $queue = "file$round";

    prepare(0, 2_000_000);

    is(after(1, sub { $backend->release("$queue-a1") }), 'a2',
       "$queue: a response that goes to a file");

    finish();


    $queue = "reload$round";

    prepare();
    $nginx->reload;

    is(after(1, sub { $backend->release("$queue-a1") }), 'a2',
       "$queue: a worker that leaves");

    finish();


    $queue = "peer$round";

    prepare(1);

    is(after(1, sub { $backend->release("$queue-a1") }), 'a2',
       "$queue: a worker with more calls than others");

    finish();


    $queue = "kill$round";

    my ($pid, $other) = prepare();

    isnt($pid, $other, "$queue: two workers have a call");

    is(after(1, sub { $nginx->kill_worker($pid) }), 'a2',
       "$queue: a worker that was killed");

    finish();


    # who takes its place is killed as soon as it is there

    $queue = "once$round";

    ($pid, $other) = prepare();

    my %old = map { $_ => 1 } $nginx->workers;

    is(after(1, sub {
        $nginx->kill_worker($pid);

        my ($new) = wait_until(sub {
            (grep { !$old{$_} } $nginx->children)[0];
        });

        $nginx->kill_worker($new);
    }), claimed('a2') ? 'a3' : 'a2', "$queue: and its successor, too");

    finish();


    $queue = "all$round";

    prepare();

    is(after(2, sub { $nginx->kill_all; $nginx->start }), 'a2 o2',
       "$queue: all of them");

    finish();
}

$nginx->stop;

done_testing;
