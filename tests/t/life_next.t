#!/usr/bin/perl

# What the next start finds after "quit", "quit" that was cut off, "stop" and
# kill -9: jobs that ran, waited, waited for their next attempt, or were in a
# queue that is paused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until request);
use IO::Socket::INET;
use Test::More;

my $backend = NgxAsync::Backend->new;
my $dead = NgxAsync::free_port();

my %end = (

    # so often the GET is sent, and how the POST ends

    quit => [ 1, 'succeeded' ],
    cut  => [ 2, 'interrupted' ],
    stop => [ 2, 'interrupted' ],
    kill => [ 2, 'interrupted' ],
);


sub seconds
{
    my ($from, $to) = map { /:(\d\d):(\d\d\.\d+)Z/ ? $1 * 60 + $2 : 0 } @_;

    return $to - $from + ($to < $from ? 3600 : 0);
}


# jobs in every state

sub prepare
{
    my ($how) = @_;

    my $nginx = NgxAsync->new(workers => 2,
        main => $how eq 'cut' ? 'worker_shutdown_timeout 100ms;' : '',
        http => <<'END', locations => <<"END2");
    async_queue default concurrency=2;
    async_queue later;
    async_queue down pause_on=error pause=1h;
END
        location / { async on; proxy_pass $backend->{url}; }
        location /later/ {
            async on queue=later;
            async_retry http_503 tries=2;
            add_header Retry-After 4 always;
            proxy_pass $backend->{url};
        }
        location /down/ {
            async on queue=down;
            proxy_pass http://127.0.0.1:$dead;
        }
        location = /metrics { async_metrics; }
END2

    my %job = (how => $how, nginx => $nginx);

    for my $i (1, 2) {
        $job{"later$i"} =
            $nginx->submit('GET', "/later/?token=${how}later$i&status=503");
    }

    $job{get} = $nginx->submit('GET', "/?token=${how}get&gate=$how");
    $job{post} = $nginx->submit('POST', "/?token=${how}post&gate=$how");
    $backend->wait_for("$how$_") for qw(get post later1 later2);

    $job{"wait$_"} = $nginx->submit('POST', "/?token=${how}wait$_") for 1 .. 3;
    $job{down} = $nginx->submit('POST', '/down/');

    ok(wait_until(sub {
        my $d = $nginx->json("/jobs/$job{down}");
        return $d->{queue_paused} && $d->{status} eq 'notStarted';
    }), "$how: a queue is paused");

    ok(wait_until(sub {
        2 == grep {
            my $d = $nginx->json("/jobs/$job{$_}");
            $d->{status} eq 'notStarted' && $d->{attempt} == 2;
        } qw(later1 later2);
    }), "$how: jobs wait for their next attempt");

    is(request($nginx->{port}, 'DELETE', "/jobs/$job{$_}")->{status}, 202,
       "$how: some are canceled") for qw(later2 wait2);

    return \%job;
}


sub next_start
{
    my ($job) = @_;

    my ($how, $nginx) = @$job{qw(how nginx)};

    if ($how eq 'kill') {
        $nginx->kill_all;

    } elsif ($how eq 'stop') {
        $nginx->stop('TERM');

    } else {
        my @pids = ($nginx->{pid}, $nginx->children);

        $nginx->signal('QUIT');

        if ($how eq 'quit') {
            wait_until(sub {
                !IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $nginx->{port})
            }) or fail('nginx stops to listen');

            $backend->release($how);
        }

        ok($nginx->ended && $nginx->left(\@pids), "$how: nginx ends");
    }

    is($backend->seen("${how}wait$_"), 0, "$how: no call is started")
        for 1 .. 3;

    $backend->release($how);
    $nginx->start;
}


sub check
{
    my ($job) = @_;

    my ($how, $nginx) = @$job{qw(how nginx)};
    my ($sent, $end) = @{ $end{$how} };

    my $d = $nginx->wait_end($job->{get});
    is($d->{status}, 'succeeded', "$how: a GET that ran");
    is($backend->seen("${how}get"), $sent, "$how: was sent so often");
    is($d->{attempt}, $sent, "$how: and says so");

    $d = $nginx->wait_end($job->{post});
    is($d->{error} ? $d->{error}{code} : $d->{status}, $end,
       "$how: a POST that ran");
    is($backend->seen("${how}post"), 1, "$how: was sent once");

    for (1, 3) {
        $d = $nginx->wait_end($job->{"wait$_"});
        is($d->{status}, 'succeeded', "$how: what waited runs");
        is($d->{attempt}, 1, "$how: for the first time");
        is($backend->seen("${how}wait$_"), 1, "$how: once");
    }

    $d = $nginx->wait_end($job->{later1});
    is($d->{attempt}, 2, "$how: the next attempt is made");
    is($backend->seen("${how}later1"), 2, "$how: once");
    cmp_ok(seconds(@$d{qw(created_at finished_at)}), '>=', 3.95,
           "$how: at its time");

    is($nginx->status($job->{$_}), 'canceled', "$how: canceled stays so")
        for qw(later2 wait2);
    is($backend->seen("${how}later2"), 1, "$how: and has no next attempt");
    is($backend->seen("${how}wait2"), 0, "$how: or none at all");

    $d = $nginx->json("/jobs/$job->{down}");
    ok($d->{queue_paused} && $d->{status} eq 'notStarted',
       "$how: the queue is still paused");
    is($d->{position}, 1, "$how: with its job");

    my $m = $nginx->request_to('GET', '/metrics')->{body};

    for (['jobs_running', 'default', 0], ['jobs_waiting', 'default', 0],
         ['jobs_running', 'later', 0], ['jobs_waiting', 'later', 0],
         ['jobs_running', 'down', 0],
         ['queue_paused', 'down', 1], ['queue_paused', 'default', 0])
    {
        my ($name, $queue, $n) = @$_;
        like($m, qr/^ngx_async_$name\{queue="$queue"\} $n$/m,
             "$how: $name of $queue");
    }

    $nginx->stop;
}


# all at once, as each of them waits

my @jobs = map { prepare($_) } sort keys %end;

next_start($_) for @jobs;
check($_) for @jobs;

is(join(' ', $backend->repeated('POST')), '', 'no POST ran twice');

done_testing;
