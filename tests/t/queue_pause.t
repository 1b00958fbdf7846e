#!/usr/bin/perl

# pause_on: a backend that is down stops its queue and fails none of its jobs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until request);
use Test::More;

my $backend = NgxAsync::Backend->new;
my $nginx = NgxAsync->new(workers => 2,
    http => 'async_queue paused concurrency=8 pause_on=error pause=300ms;',
    locations => <<"END");
        location / { async on queue=paused; proxy_pass $backend->{url}; }
        location = /metrics { async_metrics; }
END

# warm: the queue runs

is($nginx->wait_end($nginx->submit('GET', '/?token=first'))->{status},
   'succeeded', 'the backend works');

$backend->stop;

my $stopped = time;
my @jobs = map {
    [ $nginx->submit($_ % 3 ? 'GET' : 'POST', "/?token=p$_",
                     ($_ % 3 ? () : (body => "body $_"))), $_ ]
} 1 .. 1000;

my $paused = wait_until(sub {
    my $d = $nginx->json("/jobs/$jobs[500][0]");
    $d->{queue_paused} && $d;
}, 10);

ok($paused, 'the status document says that the queue is paused');
is($paused->{status}, 'notStarted', 'the job waits');

like($nginx->request_to('GET', '/metrics')->{body},
     qr/^ngx_async_queue_paused\{queue="paused"\} 1$/m, 'metrics say so');

my $said = () = $nginx->log =~ /\[warn\].*queue "paused" is paused/g;
is($said, 1, 'and the log, once');

is($paused->{attempt}, 1, 'no attempt was counted');

my $late = request($nginx->{port}, 'GET', '/?token=late');

is($late->{status}, 202, 'a job more');
like($late->{body}, qr/"queue_paused":true/, 'its 202 says it, too');
like(request($nginx->{port}, 'POST', '/?token=late',
             headers => ['Idempotency-Key: late'], body => 'x')->{body},
     qr/"queue_paused":true/, 'with a key')
    for 1 .. 2;

ok(wait_until(sub {
    $nginx->json("/jobs/$jobs[0][0]")->{status} eq 'notStarted'
}, 10), 'the job that met the dead backend waits again');

# several pauses go by: only probes are made

my $probes = () = $nginx->log =~ /connect\(\) failed/g;

ok(wait_until(sub {
    my $n = () = $nginx->log =~ /connect\(\) failed/g;
    $n >= $probes + 3 && time > $stopped + 30;
}, 60), 'it is probed again and again, for half a minute');

cmp_ok(scalar(() = $nginx->log =~ /connect\(\) failed/g), '<=', 150,
       'by one job at a time');

$backend->start;

my %end;

$end{$nginx->wait_end($_->[0], 60)->{status}}++ for @jobs;

is_deeply(\%end, { succeeded => 1000 }, 'no job failed');
is_deeply([ $backend->repeated('POST') ], [], 'no POST came twice');

my $d = $nginx->json("/jobs/$jobs[2][0]");
is($d->{attempt}, 1, 'calls that were never sent count as no attempts');

like($nginx->request_to('GET', '/metrics')->{body},
     qr/^ngx_async_queue_paused\{queue="paused"\} 0$/m, 'metrics: it goes on');
like($nginx->log, qr/\[notice\].*queue "paused" goes on/, 'and the log');

$nginx->stop;

done_testing;
