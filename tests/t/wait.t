#!/usr/bin/perl

# Clients that are held for a job: for how long, with what at the end, and
# what is left of those who leave.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Backend;
use Driver qw(free_port until_true);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);

my $dir = File::Temp::tempdir(CLEANUP => 1);
my $backend = Backend->new($dir);
my $port = free_port();

my $nginx = Driver->new(port => $port, dir => $dir, http => <<"END");
    server {
        listen 127.0.0.1:$port;

        location / {
            async on;
            proxy_pass http://127.0.0.1:@{[ $backend->port ]};
        }

        location /jobs/ { async_jobs; async_wait_max 1s; }
        location /patient/ { async_jobs; async_wait_max 1m; }
        location = /metrics { async_metrics; }
        async_jobs_uri /jobs/;
    }
END

my $gates = 0;


# a job that runs until its gate is opened

sub pending
{
    my $gate = "g" . ++$gates;

    my $job = $nginx->submit(GET => "/x?gate=$gate");

    return ($job, $gate);
}

sub took
{
    my ($from, $to, $name, $code) = @_;

    my $start = time;
    my $r = $code->();
    my $time = time - $start;

    ok($time >= $from && $time <= $to, $name) or diag("took $time s");

    return $r;
}


# connects, sends a request, and reads no answer

sub hold
{
    my ($method, $url, @more) = @_;

    my ($path) = $url =~ m{^http://[^/]+(.*)};
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or die "connect: $!";
    print $s "$method $path HTTP/1.1\r\nHost: 127.0.0.1:$port\r\n"
        . join('', map { "$_\r\n" } @more) . "\r\n";

    return $s;
}

sub watches
{
    my $text = $nginx->request(GET => '/metrics')->{content};

    return $text =~ /^ngx_async_watches (\d+)$/m ? $1 : die $text;
}

sub patient { return $_[0] =~ s{/jobs/}{/patient/}r }


# the chain of J/wait

my ($job, $gate) = pending();
my $r;
my $s = hold(POST => patient("$job/wait"), 'Content-Length: 5');
print $s 'hello';
until_true(5, sub { watches() == 1 });
$backend->open($gate);

took(0, 1, 'the end of the job wakes', sub {
    is((split ' ', <$s>)[1], 200, 'with the result');
});
close $s;

$r = $nginx->request(POST => "$job/wait", body => 'x');
is("$r->{status} $r->{content}", '200 GET ', 'which is there from then on');

# how long

($job, $gate) = pending();

for (['?wait=1'], ['', 'wait=1'], ['?wait=9', 'wait=0']) {
    my ($query, $prefer) = @$_;

    $r = took(0.9, 5, "$query " . ($prefer // ''), sub {
        $nginx->request(GET => "$job/result$query",
            headers => { $prefer ? (Prefer => $prefer) : () });
    });
    is($r->{status}, 202, 'is held as long as it may');
}

$r = took(0.9, 5, 'J is held', sub { $nginx->request(GET => "$job?wait=1") });
is(decode_json($r->{content})->{status}, 'running', 'and says how it is');

# browsers: to the page, from wherever

my %browser = (headers => { 'Sec-Fetch-Mode' => 'navigate' });

$r = $nginx->request(GET => "$job/result?wait=1", %browser);
is("$r->{status} $r->{headers}{location}", "303 $job",
    'a navigation to a result that is waited for');

# who leaves is gone, and many are woken by one end

my @held = map { hold(GET => patient("$job/result?wait=60")) } 1 .. 200;
ok(until_true(10, sub { watches() == 200 }), '200 wait');
close $_ for splice @held, 0, 150;
ok(until_true(10, sub { watches() == 50 }), '150 of them leave');

$backend->open($gate);

took(0, 5, 'the others are told', sub {
    is(scalar(grep { (split ' ', <$_>)[1] == 200 } @held), 50,
        'of the result');
});
is(watches(), 0, 'nobody waits any more');
close $_ for @held;

# canceled, forgotten and run again under one who waits

($job, $gate) = pending();
$s = hold(GET => patient("$job/wait"));
until_true(5, sub { watches() == 1 });
$nginx->request(DELETE => $job);
is((split ' ', <$s>)[1], 404, 'a job that is canceled');

# an exit of the worker

($job, $gate) = pending();
@held = (hold(GET => patient("$job/wait")),
         hold(GET => patient("$job/result?wait=60")),
         hold(GET => patient("$job?wait=60")));
until_true(5, sub { watches() == 3 });

$nginx->signal('HUP');

took(0, 5, 'all are answered when their worker exits', sub {
    is(join(' ', map { (split ' ', <$_>)[1] } @held), '303 202 200',
        'each in its way');
});

$r = $nginx->request(GET => "$job?wait=0");
is(decode_json($r->{content})->{status}, 'running', 'and the job goes on');
$backend->open($gate);
is($nginx->json(patient("$job?wait=10"))->{status}, 'succeeded',
    'in the old worker, to its end');

$nginx->stop;
done_testing;
