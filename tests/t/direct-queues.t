#!/usr/bin/perl

# Direct calls in queues: what waits survives, what was not sent goes back,
# and a shortage of worker connections delays calls without failing them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Driver qw(free_port until_true backend);
use Test::More;
use Time::HiRes qw(sleep);

my $dir = File::Temp::tempdir(CLEANUP => 1);
my $port = free_port();
my $later = free_port();
my $count = "$dir/count";

my $answer = sub {
    my ($s) = @_;
    my ($head, $body) = Driver::read_request($s);

    open my $f, '>>', $count;
    print $f $head =~ m{^(\S+ \S+)}, "\n";
    close $f;

    print $s "HTTP/1.1 200 OK\r\nContent-Length: ", length $body,
        "\r\nConnection: close\r\n\r\n$body";
};

my $slow = backend(sub { sleep 0.3; $answer->(@_) });

my $conf = <<"END";
    async_queue one concurrency=1;
    async_queue pausing concurrency=2 pause_on=error pause=500ms;
    async_queue wide concurrency=1000;

    server {
        listen 127.0.0.1:$port;
        async on;

        location /one/ {
            async on queue=one;
            async_pass http://127.0.0.1:$slow/\$request_method;
            async_set_header X-Client \$remote_addr;
        }
        location /pausing/ {
            async on queue=pausing;
            async_pass http://127.0.0.1:$later/;
        }
        location /wide/ {
            async on queue=wide;
            async_pass http://127.0.0.1:$port/alive;
        }
        location /jobs/ { async_jobs; }
        location /alive { async off; return 200 alive; }
    }
END

my $nginx = Driver->new(port => $port, dir => $dir, http => $conf,
                        connections => 64);


sub requests
{
    my ($what) = @_;

    open my $f, '<', $count or return 0;
    return scalar grep { $_ eq "$what\n" } <$f>;
}


subtest 'kill -9 while calls wait' => sub {
    my @jobs = map { $nginx->submit(PUT => "/one/$_", body => "body $_") }
                   1 .. 4;

    $nginx->stop('KILL');
    $nginx->start;

    for (1 .. 4) {
        my $d = $nginx->wait_job($jobs[$_ - 1]);
        is($d->{status}, 'succeeded', "job $_");
        is($nginx->request(GET => "$jobs[$_ - 1]/result")->{content},
           "body $_", 'its response');
    }
};


subtest 'a backend that is down' => sub {
    my @jobs = map { $nginx->submit(POST => '/pausing/x', body => "post $_") }
                   1 .. 5;

    ok(until_true(5, sub { $nginx->json($jobs[4])->{queue_paused} }),
       'pauses the queue');

    is($nginx->json($_)->{status}, 'notStarted', 'nothing has failed')
        for @jobs;

    backend($answer, port => $later);

    for my $job (@jobs) {
        my $d = $nginx->wait_job($job);
        is($d->{status}, 'succeeded', 'goes on when it is up again');
        is($d->{attempt}, 1, 'no attempt was counted');
    }

    is(requests('POST /x'), 5, 'each was sent once');
};


subtest 'few worker connections' => sub {
    my @jobs = map { $nginx->request(GET => '/wide/x')
                         ->{headers}{'operation-location'} } 1 .. 300;
    my %status;

    for my $job (@jobs) {
        my $d = $nginx->wait_job($job, 30);
        $status{$d->{status} // 'none'}++;
    }

    is_deeply(\%status, { succeeded => 300 }, 'are enough');
};


$nginx->stop;

done_testing;
