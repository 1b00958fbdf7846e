#!/usr/bin/perl

# Requests made of pieces by chance: whatever comes, it is answered, and what
# is in the store afterwards are whole jobs whose ids clients have.  The seed
# is in SEED, and shown when something fails.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;

my $seed = $ENV{SEED} // int rand 1e9;
my $count = $ENV{COUNT} // 300;

srand $seed;

my $t = Jobs->new(workers => 2, http => sub {
    my ($t) = @_;
    my $pass = "proxy_pass http://127.0.0.1:$t->{backend}/;";
    return <<"END";
    async_queue narrow concurrency=2;
    async_keep_request 1h;
    async_callback \$http_x_callback;
    client_body_buffer_size 1k;

    server {
        listen 127.0.0.1:$t->{port};
        location /on/ { async on; $pass }
        location /wait/ { async on queue=narrow; async_wait 100ms; $pass }
        location /prefer/ { async prefer; $pass }
        location /same/ { async on; async_key \$async_fingerprint; $pass }
        location /jobs/ {
            async_jobs; async_jobs_list all; async_wait_max 200ms;
        }
    }
END
});

sub one { return $_[rand @_] }

# bytes that the start of an HTTP request may have, and a few that may not

sub garbage
{
    my ($max) = @_;

    return join '', map { one(map { chr } 0x20 .. 0x7e, 0x80, 0xff, 9) }
                    1 .. rand $max;
}


# one piece in eight is damaged

sub damaged
{
    my ($s) = @_;

    return $s if rand > 0.125;

    my $at = int rand(1 + length $s);

    return substr($s, 0, $at) . garbage(6) . substr $s, $at + int rand 2
        if $at < length $s;
    return $s . garbage(6);
}


my %known;
my %forgotten;

sub headers
{
    my @headers;

    push @headers, 'Prefer: ' . join ', ', map { damaged(one(
            'respond-async', 'wait=0', 'wait=1', 'wait="0"', 'handling=strict',
            'respond-async; x="a,b"', 'return=minimal', '')) } 0 .. rand 3
        if rand > 0.5;
    push @headers, 'Idempotency-Key: ' . damaged(one('"a"', 'a', '"b\\"c"',
            '""', '"d";p=1', int rand 20))
        if rand > 0.6;
    push @headers, 'Sec-Fetch-Mode: ' . damaged('navigate') if rand > 0.9;
    push @headers, 'Sec-Fetch-Site: ' . damaged('cross-site') if rand > 0.9;
    push @headers, 'Accept: ' . damaged('text/html,application/xhtml+xml')
        if rand > 0.8;
    push @headers, 'Last-Event-ID: ' . damaged(int rand 6) if rand > 0.8;
    push @headers, 'Range: ' . damaged('bytes=0-1') if rand > 0.8;
    push @headers, 'If-None-Match: ' . damaged('"x"') if rand > 0.9;
    push @headers, 'Priority: ' . damaged('u=' . int rand 9) if rand > 0.8;
    push @headers, 'X-Callback: ' . damaged('http://localhost/')
        if rand > 0.95;

    return \@headers;
}


sub uri
{
    if (rand > 0.5) {
        my $query = join '&', one('b=x', 'b=', 's=500&b=no', 's=201&b=made',
                                  's=204', 'n=70000', 'cut=1', 'fail=1');

        return one('/on/', '/wait/', '/prefer/', '/same/') . "?$query"
            . (rand > 0.7 ? '&x=' . int rand 5 : '');
    }

    my @ids = sort keys %known;
    my $id = @ids && rand > 0.1 ? one(@ids)
             : '01981f3e-7a5c-7cc3-98c4-dc0c0c07398f';
    my $path = damaged($id) . one('', '/result', '/wait', '/events',
                                  '/cancel', '/retry', '/other', '/');

    my $query = one('', '?wait=0', '?wait=1', '?n=3', '?limit=2', '?status=x',
                    '?' . damaged('n=7&wait=0&limit=5&cursor=' . $id));

    $path = '' if rand > 0.95;

    my $uri = damaged("/jobs/$path") . damaged($query);

    $uri =~ s/[ \x00-\x1f\x7f]/_/g;

    return $uri;
}


my %statuses;
my @odd;

for (1 .. $count) {
    my $method = one(qw(GET GET GET POST POST PUT DELETE HEAD PATCH OPTIONS
                        LOCK));
    my $uri = uri();
    my $body = rand > 0.5 ? garbage(one(10, 3000)) : undef;

    my $r = $t->ask($method => $uri, headers => headers(),
                    version => one('1.1', '1.1', '1.0'),
                    defined $body ? (body => $body) : ());

    $statuses{$r->{status}}++;

    # what the backend cut off is no answer to those who waited for it

    push @odd, "$method $uri: $r->{status}"
        if ($r->{status} == 0 || !$r->{eof}) && $uri !~ /cut=/;

    my $id = $r->header('async-id');

    if (defined $id) {
        $known{$id} = 1;

    } elsif ($uri !~ m{^/jobs/}) {
        push @odd, "$method $uri: $r->{status} without an id"
            if $r->{status} == 202 || $r->{status} == 303;
    }

    if ($r->{status} == 204 && $method eq 'DELETE'
        && $uri =~ m{^/jobs/([0-9a-f-]{36})(?:/result)?(?:\?|$)}i)
    {
        $forgotten{lc $1} = 1;
    }
}

is(join("\n", @odd), '', 'all are answered');
cmp_ok($statuses{$_} // 0, '>', 0, "$_ among them") for 200, 202, 404;


# what is in the store

sub listed
{
    my %jobs;
    my $url = '/jobs/?limit=100';

    while ($url) {
        my $list = $t->ask(GET => $url)->json or return;
        $jobs{$_->{id}} = $_ for @{$list->{jobs}};
        $url = $list->{next};
    }

    return \%jobs;
}

my $jobs;

ok(Driver::until_true(20, sub {
    $jobs = listed() or return 0;
    return !grep { $_->{status} !~ /^(succeeded|failed|canceled)$/ }
           values %$jobs;
}), 'all jobs end');

my @expected = sort grep { !$forgotten{$_} } keys %known;

my @unknown = grep { !$known{$_} || $forgotten{$_} } sort keys %$jobs;

is(join("\n", map { JSON::PP::encode_json($jobs->{$_}) } @unknown), '',
   'there is no job that nobody was told of');
is(join("\n", grep { !$jobs->{$_} } @expected), '', 'and none is missing');

my @broken;

for my $id (@expected) {
    my $d = $t->ask(GET => "/jobs/$id")->json;
    my $r = $t->ask(GET => "/jobs/$id/result");

    my $whole = $d && $d->{id} eq $id && $d->{created_at} && $d->{finished_at}
        && $d->{expires_at} && $d->{queue} && $d->{request}{method}
        && ($d->{status} ne 'failed' || $d->{error}{code})
        && ($d->{status} ne 'succeeded' || $d->{response});

    my $status = !$d ? 0
        : $d->{response} ? ($d->{response}{status} == 202
                            ? 200 : $d->{response}{status})
        : $d->{status} eq 'canceled' ? 404 : qr/^50[24]$/;

    push @broken, $r->{text} . ($d ? JSON::PP::encode_json($d) : '')
        unless $whole
               && (ref $status ? $r->{status} =~ $status
                               : $r->{status} == $status)
               && (!$d->{response} || $r->{status} == 204
                   || length $r->{body} == $d->{response}{content_length});
}

is(join("\n", @broken), '', 'each of them is whole, and so is its result');

$t->stop;

diag("SEED=$seed") unless Test::More->builder->is_passing;

done_testing;
