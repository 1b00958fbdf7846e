#!/usr/bin/perl

# async_owner: a job that is not the client's looks exactly like one that
# never was.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;

my $third = Driver::free_port();
my $t = Jobs->new(http => sub {
    my ($t) = @_;
    my $pass = "proxy_pass http://127.0.0.1:$t->{backend}/;";
    return <<"END";
    server {
        listen 127.0.0.1:$t->{port};
        async_owner \$http_x_user;

        location /a/ { async on; async_ttl 1h; async_keep_request 1h; $pass }
        location /brief/ { async on; async_ttl 100ms; $pass }
        location /jobs/ { async_jobs; }
    }

    server {
        listen 127.0.0.1:$t->{port};
        server_name second;
        async_owner \$http_x_user;
        location /a/ { async on; $pass }
        location /jobs/ { async_jobs; }
    }

    # the same name and first address, but reached by the other one only

    server {
        listen 127.0.0.1:$t->{port};
        listen 127.0.0.1:$third;
        server_name second;
        async_owner \$http_x_user;
        location /a/ { async on; $pass }
        location /jobs/ { async_jobs; }
    }
END
});

my @alice = (headers => ['X-User: alice']);
my @bob = (headers => ['X-User: bob']);
my @nobody = ();
my @second = (headers => ['X-User: alice', 'Host: second']);


sub accepted
{
    my ($uri, @args) = @_;

    my $r = $t->ask(GET => $uri, @args);
    return '/jobs/' . $r->header('async-id');
}


sub gone
{
    my ($job, $status, @args) = @_;

    return Driver::until_true(10, sub {
        my $r = $t->ask(GET => $job, @args);
        return $r->{status} == $status
               && ($status != 200 || $r->json->{status} =~ /succ|fail|canc/);
    });
}


# what there is of an answer but the moment

sub look
{
    my ($r) = @_;

    return join "\n", $r->{line},
        (grep { !/^Date:/ } map { "$_->[0]: $_->[1]" } @{$r->{headers}}),
        $r->{body};
}


my $done = accepted('/a/?b=x', @alice);
my $failed = accepted('/a/?s=500&b=x', @alice);
my $running = accepted('/a/?hold=owner', @alice);
my $expired = accepted('/brief/?b=x', @alice);
my $plain = accepted('/a/?b=x');

gone($_, 200, @alice) for $done, $failed;
gone($plain, 200);
ok(gone($expired, 404, @alice), 'a job expires');

is($t->ask(GET => $done, @alice)->{status}, 200, 'the owner sees it');
is($t->ask(GET => "$done/result", @alice)->{body}, 'x', 'and its result');
is($t->ask(GET => $plain)->{status}, 200, 'jobs of an empty owner');

my $absent = '/jobs/01981f3e-7a5c-7cc3-98c4-dc0c0c07398f';
my $malformed = '/jobs/nonsense';

my @cases = (
    [GET => ''], [HEAD => ''], [GET => '/result'], [HEAD => '/result'],
    [GET => '/wait'], [POST => '/wait'], [GET => '/events'],
    [DELETE => ''], [DELETE => '/result'], [POST => '/cancel'],
    [POST => '/retry'], [GET => '?wait=5'], [GET => '/result?wait=5'],
    [GET => '/result', 'Range: bytes=0-0'], [GET => '', 'Prefer: wait=5'],
    [GET => '/events', 'Last-Event-ID: 1'],
    [GET => '', 'Sec-Fetch-Mode: navigate'],
    [GET => '/result', 'Sec-Fetch-Mode: navigate'],
    [GET => '/result', 'If-None-Match: *'],
    [PUT => ''], [GET => '/cancel'], [GET => '/other'],
    [DELETE => '', 'Sec-Fetch-Site: cross-site'],
);

# all of it for a browser as well

push @cases, map { [@$_, 'Sec-Fetch-Mode: navigate'] }
             grep { !grep { /^Sec-/ } @$_ } @cases;

for my $case (@cases) {
    my ($method, $suffix, @headers) = @$case;

    my $ask = sub {
        my ($job, %args) = @_;
        $args{headers} = [@{$args{headers} // []}, @headers];
        return $t->ask($method => "$job$suffix", %args);
    };

    my $name = "$method J$suffix @headers";
    my $like = $ask->($absent, @alice);

    unlike($like->{status}, qr/^[23]/, "$name: absent");
    cmp_ok($like->{time}, '<', 3, "$name: at once");

    is(look($ask->($malformed, @alice)), look($like), "$name: malformed");
    is(look($ask->($expired, @alice)), look($like), "$name: expired");
    is(look($ask->($done, @bob)), look($like), "$name: another's, done");
    is(look($ask->($failed, @bob)), look($like), "$name: another's, failed");
    is(look($ask->($running, @bob)), look($like), "$name: another's, running");
    is(look($ask->($done, @nobody)), look($like), "$name: of no owner");
    is(look($ask->($plain, @alice)), look($like), "$name: without an owner");
    is(look($ask->($done, @second)), look($like), "$name: of another server");
}

is($t->ask(GET => $done, @alice)->{status}, 200, 'nothing has changed');
is($t->ask(GET => $running, @alice)->json->{status}, 'running', 'at all');

is($t->ask(DELETE => $running, @alice)->{status}, 202, 'the owner may cancel');
is($t->ask(DELETE => $done, @alice)->{status}, 204, 'and forget');

is(look($t->ask(GET => $done, @alice)), look($t->ask(GET => $absent, @alice)),
   'what is forgotten looks absent, too');

# servers that cannot be told apart by name and address are others still

my $id = accepted('/a/?b=x', @second);

is($t->ask(GET => $id, @second)->{status}, 200, 'seen by its own server');
is($t->ask(GET => $id, @second, port => $third)->{status}, 404,
   'not by another one of the same name');

$t->stop;

done_testing;
