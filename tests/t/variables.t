#!/usr/bin/perl

# $async_* in the log of a submission, of its call and at the job; fingerprints.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;

my $t = Jobs->new(http => sub {
    my ($t) = @_;
    my @names = qw(role id status queue attempt queue_time run_time);
    my $log = join ' ', map { "$_=\"\$async_$_\"" } @names;
    my $set = join ' ', map { "proxy_set_header V-$_ \"\$async_$_\";" } @names,
                        'fingerprint';
    my $pass = "$set proxy_pass http://127.0.0.1:$t->{backend}/;";
    return <<"END";
    log_format async '\$request_method \$uri \$status $log';
    async_queue one concurrency=1;

    server {
        listen 127.0.0.1:$t->{port};
        access_log $t->{dir}/access.log async;

        location /a/ { async on queue=one; $pass }
        location /logged/ { async on queue=one; log_subrequest on; $pass }
        location /held/ { async on; async_wait 10s; $pass }
        location /retry/ {
            async on;
            async_retry http_503 backoff=1ms;
            $pass
        }
        location /jobs/ { async_jobs; }
    }
END
});


# values that the backend was sent

sub sent
{
    my ($r) = @_;
    return { $r->{body} =~ /^V-(\w+): (.*)\r$/mg };
}


# lines of the access log, when there are enough of them

sub lines
{
    my ($pattern, $n) = @_;

    my @lines;

    Driver::until_true(5, sub {
        open my $f, '<', "$t->{dir}/access.log" or return;
        @lines = map { my $l = $_; { line => $l, $l =~ /(\w+)="([^"]*)"/g } }
                 grep { /$pattern/ } <$f>;
        return @lines >= $n;
    });

    return @lines;
}


my $seconds = qr/^\d+\.\d{3}$/;

# a job

{
    my $job = $t->done(POST => '/a/job', body => 'x');
    my ($id) = $job =~ /([^\/]*)$/;
    $t->ask(GET => "$job/result");

    my @all = lines('^POST /a/job', 1);
    is(scalar @all, 1, 'the call is not logged');

    my $l = $all[0];
    is($l->{role}, 'submission', 'the submission: $async_role');
    is($l->{id}, $id, 'the submission: $async_id');
    like($l->{status}, qr/^(notStarted|running)$/,
         'the submission: $async_status');
    is($l->{queue}, 'one', 'the submission: $async_queue');
    like($l->{line}, qr/^POST \S+ 202 /, 'the submission: 202');

    ($l) = lines("GET /jobs/$id/result", 1);
    is($l->{role}, 'jobs', 'the job: $async_role');
    is($l->{id}, $id, 'the job: $async_id');
    is($l->{status}, 'succeeded', 'the job: $async_status');
    is($l->{queue}, 'one', 'the job: $async_queue');
    is($l->{attempt}, '1', 'the job: $async_attempt');
    like($l->{queue_time}, $seconds, 'the job: $async_queue_time');
    like($l->{run_time}, $seconds, 'the job: $async_run_time');

    $t->ask(GET => '/jobs/nonsense');
    ($l) = lines('GET /jobs/nonsense', 1);
    is($l->{role}, 'jobs', 'no job: $async_role');
    is($l->{$_}, '-', "no job: no \$async_$_")
        for qw(id status queue attempt queue_time run_time);
}

# log_subrequest

{
    my $job = $t->done(POST => '/logged/job', body => 'x');
    my ($id) = $job =~ /([^\/]*)$/;
    my @all = sort { $a->{role} cmp $b->{role} } lines('^POST /logged/job', 2);

    is(scalar @all, 2, 'log_subrequest on: the call is logged');
    is("$all[0]{role} $all[1]{role}", 'call submission', 'each in its role');
    is("$all[0]{id} $all[1]{id}", "$id $id", 'joined by $async_id');
    like($all[0]{line}, qr/^POST \S+ 200 /, 'with the status of the response');
    like($all[0]{run_time}, $seconds, 'and the time it took');
}

# held

{
    my $v = sent($t->ask(GET => '/held/x'));
    my ($l) = lines('^GET /held/x', 1);
    is($l->{role}, 'submission', 'held: the submission');
    is($l->{id}, $v->{id}, 'held: the same id');
}

# attempts

{
    my $job = $t->done(GET => '/retry/?fail=2');
    my $v = sent($t->ask(GET => "$job/result"));

    is($v->{attempt}, '3', '$async_attempt counts');
}

# no job

{
    $t->ask(HEAD => '/a/head');
    my ($l) = lines('^HEAD /a/head', 1);
    is($l->{role}, '', 'HEAD: no role') or diag($l->{line});
}

# fingerprints

{
    my @f = map { sent($t->ask(@$_))->{fingerprint} }
        [POST => '/held/f', body => 'x'], [POST => '/held/f', body => 'x'],
        [POST => '/held/f', body => 'y'], [POST => '/held/g', body => 'x'],
        [PUT => '/held/f', body => 'x'];

    is($f[0], $f[1], 'the same request: the same fingerprint');
    my %all = map { $_ => 1 } @f;
    is(scalar keys %all, 4, 'another method, URI or body: another one');

    # of a body that lies in a file: held, and stored

    my $large = 'z' x 100000;

    @f = map { sent($t->ask(@$_))->{fingerprint} }
        [POST => '/held/f', body => $large],
        [POST => '/held/f', body => $large,
         headers => ['Idempotency-Key: large']],
        [POST => '/held/f', body => $large . 'z'];

    like($f[0], qr/^[0-9a-f]{64}$/, 'a body in a file has one, too');
    is($f[1], $f[0], 'the same of the same');
    isnt($f[2], $f[0], 'another one of another');
}

$t->stop;

done_testing;
