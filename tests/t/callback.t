#!/usr/bin/perl

# Callbacks: what a receiver gets, when, and who is never called.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(hmac_sha256);
use Driver qw(free_port until_true backend);
use JSON::PP;
use MIME::Base64;
use Test::More;
use Time::HiRes qw(sleep time);

my $dir = File::Temp::tempdir(CLEANUP => 1);
my $port = free_port();
my $received = "$dir/received";

# What it answers is in the path: /name/503,503,200 is 503, 503, then 200;
# "503r3" has Retry-After: 3.  Every request is kept in a file.

my %seen;

my $receiver = backend(sub {
    my ($s) = @_;
    my ($head, $body) = Driver::read_request($s);
    my ($method, $path) = $head =~ /^(\S+) (\S+)/ or return;
    my %fields = map { /^([^:]+): *(.*?)\r$/ ? (lc $1, $2) : () }
                     split /\n/, $head;

    open my $f, '>>', $received or die;
    print $f encode_json({ method => $method, path => $path, time => time,
                           fields => \%fields, body => $body }), "\n";
    close $f;

    my @plan = split /,/, ($path =~ m{/([^/]*)$})[0];
    my $n = $seen{$path}++;
    my ($status, $after) = $plan[$n < @plan ? $n : -1] =~ /(\d+)(?:r(\d+))?/;

    print $s "HTTP/1.1 $status X\r\nContent-Length: 0\r\n",
        ($status == 302 ? "Location: http://127.0.0.1:$port/redirected\r\n"
                        : ''),
        (defined $after ? "Retry-After: $after\r\n" : ''), "\r\n";
});

my $mute = IO::Socket::INET->new(Listen => 4096, LocalAddr => '127.0.0.1');
my $mute_port = $mute->sockport;

my @secrets = map { 'whsec_' . encode_base64($_, '') }
                  ('first secret of 24 bytes', 'the second one of them..');

my ($crt, $key) = Driver::certificate($dir, 'localhost');
my $tls = free_port();

my $conf = <<"END";
    server {
        listen 127.0.0.1:$port;
        async on;

        location /ok { proxy_pass http://127.0.0.1:$port/backend/200; }
        location /bad { proxy_pass http://127.0.0.1:$port/backend/500; }

        location /fixed/ {
            async_callback http://localhost:$receiver/fixed/200;
            async_callback_secret $secrets[0];
            proxy_pass http://127.0.0.1:$port/backend/;
        }
        location /rotated/ {
            async_callback http://127.0.0.1:$receiver/rotated/200;
            async_callback_secret $secrets[0] $secrets[1];
            proxy_pass http://127.0.0.1:$port/backend/;
        }
        location /chosen/ {
            async_callback \$http_x_callback;
            async_callback_allow http://127.0.0.1:$receiver/
                                 http://localhost:$receiver/
                                 http://127.0.0.1:$mute_port/;
            proxy_pass http://127.0.0.1:$port/backend/;
        }
        location /named/ {
            async_callback \$http_x_callback;
            async_callback_allow http://localhost:$receiver/;
            proxy_pass http://127.0.0.1:$port/backend/;
        }
        location /tls/ {
            async_callback https://localhost:$tls/;
            proxy_pass http://127.0.0.1:$port/backend/;
        }
        location /tls-trusted/ {
            async_callback https://localhost:$tls/;
            async_ssl_trusted_certificate $crt;
            proxy_pass http://127.0.0.1:$port/backend/;
        }

        location /backend/ { async off; return 200 "done"; }
        location /backend/500 { async off; return 500; }
        location /jobs/ { async_jobs; async_jobs_list all; }
    }

    server {
        listen 127.0.0.1:$tls ssl;
        ssl_certificate $crt;
        ssl_certificate_key $key;
        location / { return 200; }
    }
END

my $nginx = Driver->new(port => $port, dir => $dir, http => $conf);


sub received
{
    my ($path) = @_;

    open my $f, '<', $received or return;
    return grep { $_->{path} eq $path } map { decode_json($_) } <$f>;
}


# submits with a callback; waits until the receiver has seen it n times

my $number = 0;

sub choose
{
    my ($plan, $n, $location) = @_;

    my $path = '/' . ++$number . "/$plan";
    my $job = $nginx->submit(POST => ($location // '/chosen/') . 'x?secret=1',
        body => 'x',
        headers => { 'X-Callback' => "http://127.0.0.1:$receiver$path" });

    until_true(20, sub { received($path) >= $n }) if $n;

    return ($job, $path);
}


sub callback_of
{
    my ($job, $status) = @_;

    return until_true(20, sub {
        my $d = $nginx->json($job);
        return $d && $d->{callback}{status} eq $status ? $d->{callback}
                                                       : undef;
    });
}


sub signature
{
    my ($secret, $r) = @_;

    my $content = join '.', @{$r->{fields}}{qw(webhook-id webhook-timestamp)},
                            $r->{body};

    return 'v1,' . encode_base64(hmac_sha256($content,
        decode_base64($secret =~ s/^whsec_//r)), '');
}


subtest 'what a receiver gets' => sub {
    my $job = $nginx->submit(POST => '/fixed/x?secret=1', body => 'x');

    my ($r) = @{ until_true(10, sub { my @r = received('/fixed/200');
                                      return @r ? \@r : undef }) // [] };

    is($r->{method}, 'POST', 'a POST');
    is($r->{fields}{'content-type'}, 'application/json', 'its type');
    ok(abs($r->{fields}{'webhook-timestamp'} - time) < 60, 'its time');
    is($r->{fields}{'webhook-signature'}, signature($secrets[0], $r),
       'its signature');
    ok(!$r->{fields}{expect}, 'no Expect');

    my $body = decode_json($r->{body});

    is($body->{type}, 'job.succeeded', 'type of the event');
    like($body->{timestamp}, qr/^\d{4}-\d\d-\d\dT.*Z$/, 'its time');
    is($body->{data}{links}{self}, $job, 'the job');
    is($body->{data}{request}{uri}, '/fixed/x', 'without the query');

    is_deeply($body->{data}{callback}, { status => 'pending', attempts => 0 },
       'how the callback itself is doing');

    my $c = callback_of($job, 'delivered');

    is_deeply($c, { status => 'delivered', attempts => 1 }, 'its attempts');

    like($nginx->request(GET => "$job/events")->{content},
         qr/"callback":\{"status":"delivered","attempts":1\}/,
         'in events, too');

    my $list = $nginx->json('/jobs/');

    is($list->{jobs}[0]{callback}{status}, 'delivered', 'in the list, too');
};


subtest 'keys are rotated' => sub {
    $nginx->submit(POST => '/rotated/x', body => 'x');

    my ($r) = @{ until_true(10, sub { my @r = received('/rotated/200');
                                      return @r ? \@r : undef }) // [] };

    is($r->{fields}{'webhook-signature'},
       signature($secrets[0], $r) . ' ' . signature($secrets[1], $r),
       'both sign');
};


subtest 'no secret, no signature' => sub {
    my (undef, $path) = choose('200', 1);
    my ($r) = received($path);

    ok(!exists $r->{fields}{'webhook-signature'}, 'none');
};


subtest 'failures are repeated' => sub {
    my ($job, $path) = choose('503,500,404,200', 4);
    my @r = received($path);

    is(scalar @r, 4, 'four attempts');

    my %ids = map { $_->{fields}{'webhook-id'} => 1 } @r;
    is(scalar keys %ids, 1, 'of one id');

    my @gaps = map { $r[$_]{time} - $r[$_ - 1]{time} } 1 .. 3;
    ok($gaps[0] >= 0.4 && $gaps[1] >= 0.9 && $gaps[2] >= 1.9,
       'further and further apart') or diag("@gaps");

    is(callback_of($job, 'delivered')->{attempts}, 4, 'attempts are told');

    sleep 0.5;
    is(scalar(received($path)), 4, 'and no more');
};


subtest 'the end of it' => sub {
    my ($job, $path) = choose('410', 1);
    my $c = callback_of($job, 'failed');

    like($c->{last_error}, qr/410/, '410 is final');

    ($job, $path) = choose('503r2,200', 1);
    $c = until_true(5, sub { my $c = $nginx->json($job)->{callback};
                             return $c->{last_error} ? $c : undef });
    like($c->{last_error}, qr/503/, 'the last error is told');

    callback_of($job, 'delivered');
    my @r = received($path);
    my $gap = $r[1]{time} - $r[0]{time};

    ok($gap > 1.5 && $gap < 15, 'Retry-After is honoured') or diag($gap);

    ($job, $path) = choose('503r100000,200', 1);
    $c = callback_of($job, 'failed');
    like($c->{last_error}, qr/503/, 'one beyond a day is final');

    ($job, $path) = choose('302', 1);
    $c = until_true(5, sub { my $c = $nginx->json($job)->{callback};
                             return $c->{last_error} ? $c : undef });
    like($c->{last_error}, qr/302/, 'a redirect is not followed');
};


subtest 'all ends of jobs' => sub {
    my $path = '/' . ++$number . '/200';
    my $job = $nginx->submit(POST => '/chosen/500', body => 'x',
        headers => { 'X-Callback' => "http://127.0.0.1:$receiver$path" });

    until_true(10, sub { received($path) });

    my ($r) = received($path);

    is(decode_json($r->{body})->{type}, 'job.failed', 'a failed one');
};


subtest 'certificates' => sub {
    my $job = $nginx->submit(POST => '/tls/x', body => 'x');

    my $c = until_true(10, sub { my $c = $nginx->json($job)->{callback};
                                 return $c->{last_error} ? $c : undef });
    like($c->{last_error}, qr/tls_certificate.*self.signed/, 'are verified');

    $job = $nginx->submit(POST => '/tls-trusted/x', body => 'x');
    ok(callback_of($job, 'delivered'), 'and may be configured');
};


subtest 'a name that turns out to be a private address' => sub {
    my $path = '/' . ++$number . '/200';
    my $job = $nginx->submit(POST => '/named/x', body => 'x',
        headers => { 'X-Callback' => "http://localhost:$receiver$path" });

    my $c = callback_of($job, 'failed');

    like($c->{last_error}, qr/address_refused/, 'is not connected to');
    is(scalar(received($path)), 0, 'at all');

    # not by a connection that is there already either

    my $fixed = $nginx->submit(POST => '/fixed/x', body => 'x');
    callback_of($fixed, 'delivered');

    $job = $nginx->submit(POST => '/named/x', body => 'x',
        headers => { 'X-Callback' => "http://localhost:$receiver$path" });
    callback_of($job, 'failed');

    is(scalar(received($path)), 0, 'nor by a kept connection');
};


# What is waited for has long deadlines here: that a receiver which never
# answers is out of the way is told by how few of its callbacks had their
# attempt by then.

subtest 'a receiver that does not answer holds up nobody' => sub {
    my $count = 1000;
    my @dead = map { $nginx->request(POST => '/chosen/x', body => 'x',
        headers => { 'X-Callback' => "http://127.0.0.1:$mute_port/$_" })
            ->{headers}{'operation-location'} } 1 .. $count;

    is(scalar(grep { ($nginx->wait_job($_, 60) // {})->{status}
                     eq 'succeeded' } @dead), $count,
       'jobs end while their callbacks wait');

    my @alive = map { [ choose('200') ] } 1 .. 20;
    my @others = map { $nginx->submit(GET => '/ok') } 1 .. 20;

    ok(until_true(120, sub { !grep { !received($_->[1]) } @alive }),
       'others are called');
    ok(!(grep { ($nginx->wait_job($_, 60) // {})->{status} ne 'succeeded' }
         @others), 'jobs go on');

    my (%waits, $attempts);
    my $list = $nginx->json("/jobs/?limit=1000&status=succeeded");

    while (1) {
        for my $job (@{ $list->{jobs} }) {
            my $c = $job->{callback} // next;
            $waits{$job->{links}{self}} = 1 if $c->{status} eq 'pending';
            $attempts += $c->{attempts} if $c->{status} eq 'pending';
        }

        last unless $list->{next};
        $list = $nginx->json($list->{next});
    }

    is(scalar(grep { $waits{$_} } @dead), $count, 'the dead one is still owed');
    cmp_ok($attempts, '<', $count / 2, 'most of what it is owed was not tried')
        or diag($attempts);
};


subtest 'kill -9' => sub {
    my ($job, $path) = choose('503r1,200', 1);

    $nginx->stop('KILL');
    $nginx->start;

    until_true(20, sub { received($path) >= 2 });

    my @r = received($path);

    is(scalar @r, 2, 'what was due is delivered after it');
    is($r[0]{fields}{'webhook-id'}, $r[1]{fields}{'webhook-id'},
       'with the same id');
};


$nginx->stop;

done_testing;
