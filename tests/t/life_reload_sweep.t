#!/usr/bin/perl

# A worker that is told to exit while its sweep is on its way to the disk: who
# waits for the jobs that it ends is told of them all the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until);
use Test::More;

my $backend = NgxAsync::Backend->new;
my $dir = $backend->{dir};

my %sync = NgxAsync::preload($dir)
    or plan skip_all => 'nothing can be preloaded';

my $nginx = NgxAsync->new(workers => 1, %sync,
    http => 'async_queue one concurrency=1 timeout=2s; async_wait_max 1h;',
    locations => <<"END");
        location / { async on queue=one; proxy_pass $backend->{url}; }
        location = /metrics { async_metrics; }
END

# the call keeps the old worker

my $first = $nginx->submit('POST', '/?token=first&gate=first');
$backend->wait_for('first');
my $second = $nginx->submit('POST', '/?token=second');

my ($old) = $nginx->workers;

open my $f, '>', "$dir/waits" or die "waits: $!";
close $f;

ok(wait_until(sub { -e "$dir/waiting" }, 20), 'a sweep is under way');

kill 'HUP', $nginx->{pid};

ok(wait_until(sub {
    grep { $_ != $old } $nginx->workers and $nginx->log =~ /gracefully/;
}, 20), 'its worker is to exit');

my $waiter = NgxAsync::in_background(sub {
    my $r = $nginx->request_to('GET', "/jobs/$second/wait");

    open my $f, '>', "$dir/told" or die "told: $!";
    print $f $r->{status};
    close $f;
});

ok(wait_until(sub {
    $nginx->request_to('GET', '/metrics')->{body} =~ /^ngx_async_watches 1$/m
}, 20), 'a client of the new worker waits');

unlink "$dir/waiting";

ok(NgxAsync::reap($waiter, 40), 'the waiter has its answer');
is(NgxAsync::slurp("$dir/told"), 504, 'that it was not run');
is($nginx->json("/jobs/$second")->{error}{code}, 'queue_timeout', 'why');
ok(NgxAsync::alive($old), 'while the old worker is there');

$backend->release('first');
is($nginx->wait_end($first)->{status}, 'succeeded', 'its call ends');

$nginx->stop;

done_testing;
