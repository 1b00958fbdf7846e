#!/usr/bin/perl

# A timeout of a queue that changes with a reload holds for jobs that wait
# already, also while all slots of the queue are taken.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until);
use Test::More;
use Time::HiRes qw(time);

my $backend = NgxAsync::Backend->new;
my @names = qw(new shorter longer none same);

sub queues
{
    my (%timeout) = @_;

    return (http => join "\n", map {
        "async_queue $_ concurrency=1"
        . ($timeout{$_} ? " timeout=$timeout{$_};" : ';')
    } @names);
}

my $nginx = NgxAsync->new(workers => 2, queues(), locations => join "\n",
    map { "location /$_/ { async on queue=$_; proxy_pass $backend->{url}; }" }
        @names);

my %held;

for (@names) {
    $held{$_} = $nginx->submit('POST', "/$_/?token=held-$_&gate=held");
    $backend->wait_for("held-$_");
}


# those of the last queue show how long the old timeout took; again with longer
# ones if a reload takes more than that

my (@new, %job);

for my $seconds (4, 16, 64) {
    my %before = (shorter => '1h', map { $_ => "${seconds}s" }
                                       qw(longer none same));
    $nginx->reload(queues(%before));
    my $begun = time;

    @new = map { $nginx->submit('POST', "/new/?token=wait") } 1 .. 100;
    $job{$_} = $nginx->submit('POST', "/$_/?token=wait") for @names[1 .. 4];

    $nginx->reload(queues(%before, new => '300ms', shorter => '300ms',
                          longer => '1h', none => undef));

    last if time - $begun < $seconds - 1;
}

my $ended = sub {
    my $d = $nginx->wait_end($_[0], 100);
    return ($d->{error} // {})->{code} // 'none';
};

is($ended->($job{same}), 'queue_timeout', 'the timeout is over');

ok(wait_until(sub { !grep { $nginx->status($_) ne 'failed' } @new }, 60),
   'a new one ends the wait of all');

is($ended->($job{shorter}), 'queue_timeout', 'so does a shorter one');
is($nginx->status($job{longer}), 'notStarted', 'a longer one lets jobs wait');
is($nginx->status($job{none}), 'notStarted', 'so does none');

is_deeply([ grep { $nginx->status($held{$_}) ne 'running' } @names ], [],
          'all that while others run');

$backend->release('held');
$nginx->wait_end($_) for values %held;

is($nginx->wait_end($job{$_})->{status}, 'succeeded', "$_: and run then")
    for qw(longer none);

$nginx->stop;

done_testing;
