#!/usr/bin/perl

# async_queue, async_priority, async_retry: who runs when, and how often.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;

my $down = Driver::free_port();

my $t = Jobs->new(http => sub {
    my ($t) = @_;
    my $pass = "proxy_pass http://127.0.0.1:$t->{backend}/;";
    return <<"END";
    async_queue one concurrency=1;
    async_queue two concurrency=2;
    async_queue bare concurrency=1;
    async_queue late concurrency=1;
    async_queue fair concurrency=1 per=\$http_x_user;
    async_queue each concurrency=10 per=\$http_x_user per_concurrency=1;
    async_queue down concurrency=1 pause_on=error pause=300ms;
    async_queue unavailable concurrency=1 pause_on=http_503 pause=200ms;

    proxy_connect_timeout 5s;

    server {
        listen 127.0.0.1:$t->{port};

        location /one/ { async on queue=one; $pass }
        location /two/ { async on queue=two; $pass }
        location /fair/ { async on queue=fair; $pass }
        location /each/ { async on queue=each; $pass }
        location /late/ { async on queue=late; $pass }
        location /bare/ { async on queue=bare; async_priority \$arg_p; $pass }

        location /down/ {
            async on queue=down;
            proxy_pass http://127.0.0.1:$down/;
        }
        location /unavailable/ { async on queue=unavailable; $pass }

        location /retry/ {
            async on;
            async_retry error timeout http_429 http_500 http_502 http_503
                        http_504 backoff=1ms;
            $pass
        }
        location /retry5/ {
            async on;
            async_retry http_503 tries=5 backoff=1ms max_backoff=5ms;
            $pass
        }
        location /again/ {
            async on;
            async_retry error http_503 non_idempotent backoff=1ms;
            $pass
        }
        location /after/ {
            async on;
            async_retry http_503 backoff=1ms tries=2;
            $pass
        }
        location /slow/ {
            async on;
            async_timeout 150ms;
            async_retry timeout tries=2 backoff=1ms;
            $pass
        }
        location /held/ {
            async on;
            async_wait 10s;
            async_retry http_503 backoff=1ms;
            $pass
        }
        location /jobs/ { async_jobs; }
    }
END
});


# the backend's requests, in order, by their argument b

sub order
{
    my ($pattern) = @_;

    open my $f, '<', "$t->{dir}/backend.log" or return '';
    return join ' ', map { /[?&]b=($pattern\w*)/ ? $1 : () } <$f>;
}


# keeps a queue of one busy while jobs are put into it

sub behind
{
    my ($location, $name, @jobs) = @_;

    my $first = $t->job(GET => "/$location/?hold=$name");
    $t->until($first, 'running');

    my @urls = map { $t->job(GET => $_->[0], headers => $_->[1] // []) } @jobs;

    $t->release($name);
    is($t->ended($_)->{status}, 'succeeded', "$name: runs") for @urls;
}


# order

behind('one', 'fifo', map { ["/one/?b=f$_"] } 1 .. 6);
is(order('f'), 'f1 f2 f3 f4 f5 f6', 'first come, first served');

behind('one', 'urgency',
       map { ["/one/?b=u$_->[0]", [defined $_->[1] ? "Priority: $_->[1]" : ()]] }
       ['7', 'u=7'], ['3'], ['5', 'u=5, i'], ['0', 'u=0'], ['x', 'u=9'],
       ['1', '1']);
is(order('u'), 'u0 u1 u3 ux u5 u7', 'by urgency, 3 where it is not given');

behind('bare', 'bare', map { ["/bare/?b=p$_&p=$_"] } 6, 2, 4);
is(order('p'), 'p2 p4 p6', 'async_priority of one\'s own, a bare number');

behind('late', 'late', ['/late/?b=s7', ['Priority: u=7']],
       map { ["/late/?b=s0", ['Priority: u=0']] } 1 .. 20);
like(order('s'), qr/^(s0 ){14,15}s7 (s0 ?){5,6}$/,
     'every sixteenth one is the least urgent: no one waits forever');

behind('fair', 'fair',
       map { ["/fair/?b=$_", ["X-User: " . substr $_, 0, 2]] }
       qw(xa1 xa2 xa3 xa4 xb1 xb2));
like(order('x'), qr/^xa1 xb1 xa2 xb2 xa3 xa4$|^xb1 xa1 xb2 xa2 xa3 xa4$/,
     'values of per take turns');

# concurrency

{
    my @jobs = map { $t->job(GET => "/two/?hold=two&b=c$_") } 1 .. 4;

    ok(Driver::until_true(5, sub { order('c') =~ / / }), 'two run');
    my %status;
    $status{$t->ask(GET => $_)->json->{status}}++ for @jobs;
    is_deeply(\%status, { running => 2, notStarted => 2 },
              'no more than concurrency=2');
    $t->release('two');
    is($t->ended($_)->{status}, 'succeeded', 'all run in the end') for @jobs;
}

# limits of each value

{
    my @a = map { $t->job(GET => "/each/?hold=each&b=ea$_",
                          headers => ['X-User: a']) } 1 .. 3;
    $t->until($a[0], 'running');

    my $b = $t->job(GET => '/each/?hold=each&b=eb1',
                    headers => ['X-User: b']);
    is($t->until($b, 'running')->{status}, 'running', 'others are not limited');
    is($t->ask(GET => $a[1])->json->{status}, 'notStarted', 'per_concurrency');

    $t->release('each');
    is($t->ended($_)->{status}, 'succeeded', 'all run') for @a, $b;
}

# a backend that is down

{
    my @jobs = map { $t->job(POST => "/down/?b=d$_", body => "d$_") } 1 .. 3;

    ok(Driver::until_true(5, sub {
        $t->ask(GET => $jobs[0])->json->{queue_paused}
    }), 'refused: the queue is paused');

    my $d = $t->ask(GET => $jobs[2])->json;
    is($d->{status}, 'notStarted', 'nothing fails');

    my $n = 0;
    Driver::backend(sub {
        my ($s) = @_;
        my ($head, $body) = Driver::read_request($s);
        my $text = ++$n . " $body";
        print $s "HTTP/1.1 200 OK\r\nContent-Length: ", length $text,
            "\r\nConnection: close\r\n\r\n$text";
    }, port => $down);

    for (@jobs) {
        $d = $t->ended($_);
        is($d->{status}, 'succeeded', 'it comes back: a POST is sent');
        is($d->{attempt}, 1, 'the refused ones do not count');
    }

    is($t->ask(GET => "$jobs[2]/result")->{body}, '3 d3', 'once, in order');
}

{
    my $job = $t->job(GET => '/unavailable/?fail=1&b=una');
    my $d = $t->ended($job);
    is($d->{status}, 'succeeded', 'pause_on=http_503: tried again');
    is($t->requests('GET /?fail=1&b=una'), 2, 'by a probe');
}

# retries

for my $case (
    ['GET', 'retry', 'fail=1', 'succeeded', 2],
    ['GET', 'retry', 'fail=2', 'succeeded', 3],
    ['GET', 'retry', 'fail=3', 'failed', 3],
    ['PUT', 'retry', 'fail=1', 'succeeded', 2],
    ['DELETE', 'retry', 'fail=1', 'succeeded', 2],
    ['POST', 'retry', 'fail=1', 'failed', 1],
    ['PATCH', 'retry', 'fail=1', 'failed', 1],
    ['POST', 'again', 'fail=1', 'succeeded', 2],
    ['POST', 'again', 'cut=1', 'failed', 3],
    ['GET', 'retry', 'cut=1', 'failed', 3],
    ['GET', 'retry', 's=404', 'failed', 1],
    ['GET', 'retry', 's=429', 'failed', 3],
    ['GET', 'retry', 's=500', 'failed', 3],
    ['GET', 'retry', 's=502', 'failed', 3],
    ['GET', 'retry', 's=504', 'failed', 3],
    ['GET', 'retry5', 'fail=4', 'succeeded', 5],
    ['GET', 'retry5', 's=500', 'failed', 1],
    ['GET', 'slow', 'hold=never', 'failed', 2],
    ['POST', 'slow', 'hold=never', 'failed', 1],
) {
    my ($method, $location, $q, $status, $attempts) = @$case;
    my $uri = "$q&b=r-$location-$method";

    my $job = $t->job($method => "/$location/?$uri", body => 'body');
    my $d = $t->ended($job);

    is($d->{status}, $status, "$method /$location/?$q: $status");
    is($d->{attempt}, $attempts, "$method /$location/?$q: attempt");
    is($t->requests("$method /?$uri"), $attempts,
       "$method /$location/?$q: so often sent");
}

{
    my $job = $t->done(PUT => '/retry/?fail=1', body => 'the body');
    like($t->ask(GET => "$job/result")->{body}, qr/\r\n\r\nthe body$/,
         'the body is sent again');

    my $r = $t->ask(GET => '/held/?fail=1&b=held');
    is($r->{body}, 'held', 'a held client waits for the last attempt') or diag($r->{text});
}

{
    my $job = $t->job(GET => '/after/?fail=1&b=after&h=Retry-After:1');
    my $d = $t->ended($job);

    is($d->{status}, 'succeeded', 'Retry-After of the upstream');

    my ($a, $b) = map { /:(\d\d\.\d+)Z/ ? $1 : 0 }
                  @$d{qw(created_at finished_at)};
    $b += 60 if $b < $a;
    cmp_ok($b - $a, '>=', 0.95, 'is honoured');
}

$t->stop;

done_testing;
