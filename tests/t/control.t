#!/usr/bin/perl

# What becomes of the call and of the queue when a job is canceled or run again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;

my $t = Jobs->new(http => sub {
    my ($t) = @_;
    my $pass = "proxy_pass http://127.0.0.1:$t->{backend}/;";
    return <<"END";
    async_queue one concurrency=1;

    server {
        listen 127.0.0.1:$t->{port};
        location /a/ { async on; $pass }
        location /one/ { async on queue=one; $pass }
        location /keptone/ { async on queue=one; async_keep_request 1h; $pass }
        location /kept/ { async on; async_keep_request 1h; $pass }
        location /brief/ { async on; async_keep_request 500ms; $pass }
        location /jobs/ { async_jobs; }
    }
END
});

my $n = 0;


sub running
{
    my $name = 'r' . ++$n;
    my $job = $t->job(POST => "/a/?hold=$name&b=$name", body => '');
    $t->until($job, 'running');
    Driver::until_true(5, sub { $t->requests("POST /?hold=$name") });
    return ($job, $name);
}


# pending

for my $case (
    [DELETE => ''], [DELETE => '/result'], [POST => '/cancel'],
) {
    my ($method, $suffix) = @$case;
    my ($job, $name) = running();
    my $r = $t->ask($method => "$job$suffix");

    is($r->{status}, 202, "$method J$suffix of a running job");
    ok($t->left($name), "$method J$suffix: the call is aborted");
}

{
    my $first = $t->job(GET => '/one/?hold=one');
    $t->until($first, 'running');
    my $second = $t->job(POST => '/one/?b=second', body => '');
    my $third = $t->job(POST => '/one/?b=third', body => '');

    is($t->ask(DELETE => $second)->json->{status}, 'canceled',
       'a queued job: canceled');
    is($t->ask(GET => $third)->json->{position}, 1, 'the next one moves up');

    $t->release('one');
    $t->ended($third);
    is($t->requests('POST /?b=second'), 0, 'it was never sent');
}

# once more

{
    my $job = $t->done(POST => '/kept/?fail=1&b=fine', body => 'body');
    my $d = $t->ask(GET => $job)->json;

    is($d->{status}, 'failed', 'a job fails');
    is($t->ask(GET => "$job/result")->{status}, 503, 'its response');

    is($t->ask(POST => "$job/retry")->{status}, 202, 'J/retry');

    $d = $t->ended($job);
    is($d->{status}, 'succeeded', 'it runs again');
    is($d->{attempt}, 2, 'as the next attempt');
    is($t->ask(GET => "$job/result")->{body}, 'fine', 'with a new response');
    is($t->requests('POST /?fail=1&b=fine'), 2, 'it was sent twice');

    is($t->ask(POST => "$job/retry")->{status}, 409, 'then no more');
}

{
    my $job = $t->done(POST => '/keptone/?s=500', body => 'x');
    my $before = $t->job(GET => '/one/?hold=before');
    $t->until($before, 'running');

    my $d = $t->ask(POST => "$job/retry")->json;
    is($d->{status}, 'notStarted', 'J/retry, while its queue is full: queued');
    is($d->{attempt}, 2, 'for its next attempt');
    ok(!exists $d->{$_}, "no $_ of the last one")
        for qw(started_at finished_at expires_at error response);
    ok(exists $d->{queue_paused} && !$d->{queue_paused}, 'queue_paused');

    $d = $t->ask(GET => $job)->json;
    is($d->{attempt}, 2, 'GET J says the same');
    is($d->{position}, 1, 'with its position');
    ok(!exists $d->{started_at}, 'and no started_at');

    $t->release('before');
    is($t->ended($job)->{attempt}, 2, 'it is that attempt');
}

{
    my $job = $t->done(POST => '/brief/?s=500', body => 'x');

    ok($t->ask(GET => $job)->json->{links}{retry}, 'it is kept');
    ok(Driver::until_true(10, sub {
        !$t->ask(GET => $job)->json->{links}{retry}
    }), 'for its time');
    is($t->ask(POST => "$job/retry")->{status}, 409, 'not longer');
    is($t->ask(GET => "$job/result")->{status}, 500, 'its result stays');
}

$t->stop;

done_testing;
