#!/usr/bin/perl

# J/events, byte by byte.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use JSON::PP;
use Test::More;

my $t = Jobs->new(workers => 2, http => sub {
    my ($t) = @_;
    my $pass = "proxy_pass http://127.0.0.1:$t->{backend}/;";
    return <<"END";
    async_queue one concurrency=1;
    gzip on;
    gzip_types *;
    gzip_min_length 1;

    server {
        listen 127.0.0.1:$t->{port} reuseport;
        location /a/ { async on; proxy_buffering off; $pass }
        location /one/ { async on queue=one; $pass }
        location /jobs/ { async_jobs; }
    }
END
});


# [event, id, data] of each; comments and retry: as events of that name

sub events
{
    my ($body) = @_;

    my @events;

    for my $block (split /\n\n/, $body) {
        my %e = (event => 'message');

        for (split /\n/, $block) {
            if (/^:/) { $e{event} = 'comment' }
            elsif (/^retry: (\d+)$/) { @e{qw(event retry)} = ('retry', $1) }
            elsif (/^(event|id|data): (.*)$/) { $e{$1} = $2 }
            else { $e{bad} = $_ }
        }

        $e{json} = decode_json($e{data}) if defined $e{data};
        push @events, \%e;
    }

    return @events;
}


my $job = $t->job(GET => '/one/?hold=e1');
$t->until($job, 'running');
my $next = $t->job(GET => '/one/?hold=e2&b=x');

my $long = $t->job(GET => '/a/?hold=long');
my $listener = $t->begin(GET => "$long/events", timeout => 30);

my $c = $t->begin(GET => "$next/events");

ok($c->expect(qr/"notStarted"/), 'the status at once');
ok($c->expect(qr/\r\n\r\n.*retry: \d+\n/s), 'retry:');
$t->release('e1');
ok($c->expect(qr/"running"/), 'the start');
$t->release('e2');

my $r = $c->finish;

is($r->{status}, 200, 'a stream');
ok($r->{whole}, 'the stream is ended after the last event');

my @all = events($r->{body});
my @status = grep { $_->{event} eq 'status' } @all;

is(scalar(grep { $_->{bad} } @all), 0, 'nothing else is in it');
is(join(' ', map { $_->{json}{status} } @status),
   'notStarted running succeeded', 'status on every change');
is(scalar(grep { !defined $_->{id} } @status), 0, 'all with ids');
is($status[0]{json}{position}, 1, 'with the position');
is($status[0]{json}{links}{self}, $next, 'the whole document');
is($status[2]{json}{resourceLocation}, "$next/result", 'to the end');
is_deeply($status[2]{json}, $t->ask(GET => $next)->json, 'as at J');

# coming back

{
    my @last = (headers => ["Last-Event-ID: $status[2]{id}"]);

    $r = $t->ask(GET => "$next/events", @last);
    is($r->{status}, 204, 'after the terminal event: 204');

    for my $id ($status[0]{id}, $status[1]{id}, '') {
        $r = $t->ask(GET => "$next/events", headers => ["Last-Event-ID: $id"]);
        my @e = grep { $_->{event} eq 'status' } events($r->{body});

        is(join(' ', map { $_->{json}{status} } @e), 'succeeded',
           "after \"$id\": what was missed");
    }

    $r = $t->ask(GET => "$next/events");
    @all = grep { $_->{event} eq 'status' } events($r->{body});
    is(scalar @all, 1, 'a finished job: the terminal event once');
    is($all[0]{id}, $status[2]{id}, 'with the same id');
    ok($r->{whole}, 'and the end');

}

{
    my $run = $t->job(GET => '/one/?hold=e3');
    my $d = $t->until($run, 'running');

    my $first = $t->begin(GET => "$run/events");
    ok($first->expect(qr/id: (\d+)/), 'running');
    my ($id) = $first->{text} =~ /id: (\d+)/;
    $first->leave;

    my $again = $t->begin(GET => "$run/events",
                          headers => ["Last-Event-ID: $id"]);
    ok($again->expect(qr/retry:/), 'a reconnect');
    ok(!$again->expect(qr/event: status/, 0.1), 'nothing is told twice');
    $t->release('e3');
    @all = grep { $_->{event} eq 'status' } events($again->finish->{body});
    is(join(' ', map { $_->{json}{status} } @all), 'succeeded',
       'nothing is missed');
}

# progress

{
    my $run = $t->job(GET => '/a/?half=e4&n=4000000');
    my $c = $t->begin(GET => "$run/events");

    ok($c->expect(qr/event: progress\ndata: /), 'progress while bytes arrive');
    $t->release('e4');

    my @all = events($c->finish->{body});
    my @p = grep { $_->{event} eq 'progress' } @all;

    is($p[0]{json}{bytes_total}, 4000000, 'bytes_total');
    cmp_ok($p[0]{json}{bytes_received}, '>', 0, 'bytes_received');
    is($all[-1]{json}{status}, 'succeeded', 'and the end');
}

# canceled, forgotten

{
    my $run = $t->job(GET => '/a/?hold=e5');
    my $c = $t->begin(GET => "$run/events");

    ok($c->expect(qr/"running"/), 'running');
    $t->ask(DELETE => $run);
    my @all = grep { $_->{event} eq 'status' } events($c->finish->{body});
    is($all[-1]{json}{status}, 'canceled', 'canceled');
}

# clients that leave

{
    my $run = $t->job(GET => '/a/?hold=e6');
    my @clients = map { $t->begin(GET => "$run/events") } 1 .. 10;

    ok($_->expect(qr/"running"/), 'listening') for @clients;
    $_->leave for @clients[0 .. 8];
    $t->release('e6');
    like($clients[9]->finish->{body}, qr/succeeded/, 'others hear the end');
}

# when nothing happens

ok($listener->expect(qr/\r\n3\r\n:\n\n/, 20), 'a comment every 15 seconds');
$t->release('long');
like($listener->finish->{body}, qr/succeeded/, 'and the end all the same');

$t->stop;

done_testing;
