#!/usr/bin/perl

# Names of queues: only those that are in use take a place among the 256 that
# there are.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until request);
use Test::More;

my $backend = NgxAsync::Backend->new;


# a configuration with so many queues, each with a location

sub queues
{
    my ($name, $n) = @_;

    return (http => join("\n", map { "async_queue $name$_;" } 1 .. $n),
            locations => join "\n", map {
                "location /$name$_/ { async on queue=$name$_;"
                . " proxy_pass $backend->{url}; }"
            } 1 .. $n);
}

my $nginx = NgxAsync->new(workers => 2, queues('old', 250));


sub reload
{
    my ($name, $n) = @_;

    $nginx->left([ $nginx->reload(queues($name, $n)) ]);
}

sub works
{
    my ($queue, $what) = @_;

    my $id = $nginx->submit('GET', "/$queue/?token=$queue");
    my $d = $nginx->wait_end($id);

    is($d->{status}, 'succeeded', $what);
    is($d->{queue}, $queue, 'in its queue');
}


# the store knows all queues that ever had a job

for (map { $nginx->submit('GET', "/old$_/?token=old$_") } 1 .. 250) {
    $nginx->wait_end($_);
}

$nginx->stop;
$nginx->configure(queues('a', 2));
$nginx->start;

works('a1', 'a store with 250 other queues');
reload('b', 10);
works('b1', 'and ten more');


# other names with each configuration

for my $name ('c' .. 'e') {
    reload($name, 120);
    works($name . '120', "120 queues in place of the last ones");
}

reload('old', 120);
works('old120', 'and those of the beginning');


# as many as can be, all of them new: there is room when the old workers have
# begun to leave, but for what they still run

my $id = $nginx->submit('POST', '/old7/?token=runs&gate=g');
$backend->wait_for('runs');

my @old = $nginx->reload(queues('f', 254));

push @{ $nginx->{log_ok} }, qr/\[emerg\].* queues are in use/,
                            qr/\[crit\].* could not (join|be stored)/;

ok(wait_until(sub {
    request($nginx->{port}, 'GET', '/f254/?token=f')->{status} == 202
}, 20), '254 queues, "default", and one that runs a job');

works('f1', 'the first of them');
$backend->release('g');
is($nginx->wait_end($id)->{status}, 'succeeded', 'the job of the old one ends');
is($backend->seen('runs'), 1, 'once');

$nginx->left(\@old);
$nginx->stop;

done_testing;
