#!/usr/bin/perl

# Direct calls to a backend that writes what it likes: what becomes of it is
# what proxy_pass makes of it, held and stored, or an error.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Driver qw(free_port until_true backend);
use Fidelity qw(exchange parse);
use Test::More;

# the bytes are in the target, as hex digits

my $say = backend(sub {
    my ($s) = @_;
    my ($head) = Driver::read_request($s);
    my ($hex) = $head =~ m{^\S+ /\w+/([0-9a-f]*)};
    print $s pack 'H*', $hex;
});

my $port = free_port();

my $nginx = Driver->new(port => $port, dir => File::Temp::tempdir(CLEANUP => 1),
                        http => <<"END");
    server {
        listen 127.0.0.1:$port;
        async_wait 30s;

        location /direct/ { async on; async_pass http://127.0.0.1:$say; }
        location /proxy/ {
            proxy_http_version 1.1;
            proxy_pass http://127.0.0.1:$say;
        }
        location /jobs/ { async_jobs; }
    }
END


sub get
{
    my ($method, $uri, @fields) = @_;

    return exchange($port, join "\r\n", "$method $uri HTTP/1.1", 'Host: x',
        'Connection: close', @fields, $method eq 'POST'
            ? ('Content-Length: 1', '', 'x') : ('', ''));
}


sub plain
{
    my ($text) = @_;

    $text =~ s/^(?:Date|Server|Async-Id): .*\r\n//mg;
    return $text;
}


sub fields { return join "\n", map { "$_->[0]: $_->[1]" } @{$_[0]} }


# fields of the module's own, and those that a stored response has no more

sub rest
{
    my ($fields) = @_;

    return [ grep { $_->[0] !~ /^(?:date|server|connection|content-length
        |transfer-encoding|asyncresult|async-status|cache-control|etag
        |referrer-policy|x-content-type-options|accept-ranges|location
        |last-modified|content-location|content-security-policy)$/ix }
        @$fields ];
}


sub stored
{
    my ($hex) = @_;

    my $answer = get('GET', "/direct/$hex", 'Prefer: respond-async');
    my ($job) = $answer =~ /^Operation-Location: http:\/\/[^\/]+(\S+)/m
        or return;

    return parse(get('GET', "$job/result?wait=30"));
}


my $ok = "HTTP/1.1 200 OK\r\n";
my $two = "Content-Length: 2\r\n\r\nok";

# the same as with proxy_pass

my @same = (
    'letters of names' => $ok . "x-lOwEr: 1\r\nCONTENT-TYPE: a/b\r\n$two",
    'repeated fields' => $ok . "X-A: 1\r\nX-B: 2\r\nX-A: 3\r\n$two",
    'empty values' => $ok . "X-A:\r\nX-B:   \r\nX-C:\t\r\n$two",
    'spaces' => $ok . "X-A:1\r\nX-B: \t a  b \t \r\nX-C:   c   \r\n$two",
    'names of other characters' => $ok . "X_A: 1\r\n.X!~: 2\r\n$two",
    'values of 8 bits' => $ok . "X-A: \xff\xc3\xa4\r\n$two",
    'chunks with extensions, a trailer' => $ok
        . "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0;x\r\nX-T: 1\r\n"
        . "\r\n",
    'gzip' => $ok . "Content-Encoding: gzip\r\n$two",
    'an unknown encoding' => $ok . "Content-Encoding: br, foo\r\n$two",
    'status 204' => "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
    'status 204 with a body' => "HTTP/1.1 204 No Content\r\n$two",
    'status 205' => "HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n",
    'status 304' => "HTTP/1.1 304 Not Modified\r\nX-A: 1\r\n\r\n",
    'status 206' => "HTTP/1.1 206 Part\r\nContent-Range: bytes 0-1/9\r\n$two",
    'status 401' => "HTTP/1.1 401 Who\r\nWWW-Authenticate: NTLM\r\n"
        . "WWW-Authenticate: Basic realm=\"x\"\r\n$two",
    'status 417' => "HTTP/1.1 417 No\r\n$two",
    'HTTP/1.0' => "HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nok",
    'HTTP/1.0, kept' => "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n$two",
    'bare line feeds' => "HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 2\n\nok",
    'no reason' => "HTTP/1.1 200\r\n$two",
    'an empty reason' => "HTTP/1.1 200 \r\n$two",
    'a reason of 8 bits' => "HTTP/1.1 200 \xc3\xa4\xff b  c\r\n$two",
    'odd statuses' => "HTTP/1.1 999 Odd\r\n$two",
    'two types' => $ok . "Content-Type: a/b\r\nContent-Type: c/d\r\n$two",
    'a body that is too long' => $ok . "${two}more",
    'fields that nginx knows' => $ok . "Refresh: 1; url=/y\r\nVary: a\r\n"
        . "Vary: b\r\nLink: <a>\r\nAlt-Svc: h2=\":1\"\r\n$two",
    'a type with parameters' => $ok . "Content-Type: a/b; charset=\"x\"\r\n"
        . $two,
);

while (my ($name, $text) = splice @same, 0, 2) {
    subtest $name => sub {
        my $hex = unpack 'H*', $text;

        for my $method (qw(GET HEAD POST)) {
            my $proxy = plain(get($method, "/proxy/$hex"));
            is(plain(get($method, "/direct/$hex")), $proxy, "$method, held");
        }

        my ($ps, $pf, $pb) = parse(plain(get('GET', "/proxy/$hex")));
        my ($s, $f, $b) = stored($hex);

        is($s, $ps, 'stored: status');
        is(fields(rest($f)), fields(rest($pf)), 'stored: fields');
        is($b, $pb, 'stored: body');
    };
}

# where versions of nginx differ

my @other = (
    'a folded field' => $ok . "X-A: 1\r\n\t2\r\n  3\r\n$two",
        { 'X-A' => '1 2 3' },
    'interim responses' => "HTTP/1.1 100 Continue\r\n\r\n"
        . "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        . "HTTP/1.1 102 Wait\r\n\r\n$ok" . "X-A: 1\r\n$two",
        { 'X-A' => '1', Link => undef },
    'chunks and a length' => $ok . "Content-Length: 5\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", {},
    'two lengths' => $ok . "Content-Length: 2\r\n$two", {},
);

while (my ($name, $text, $want) = splice @other, 0, 3) {
    subtest $name => sub {
        my $hex = unpack 'H*', $text;

        for ([ parse(get('GET', "/direct/$hex")) ], [ stored($hex) ]) {
            my ($status, $fields, $body) = @$_;
            my %f = map { @$_ } @$fields;

            is($status, 200, 'status');
            is($body, 'ok', 'body');
            is($f{$_}, $want->{$_}, $_) for keys %$want;
        }
    };
}

my @bad = (
    'a space in a name' => $ok . "X-A : 1\r\n$two",
    'no name' => $ok . ": 1\r\n$two",
    'no colon' => $ok . "nonsense\r\n$two",
    'a zero byte' => $ok . "X-A: a\0b\r\n$two",
    'a carriage return' => $ok . "X-A: a\rSet-Cookie: b\r\n$two",
    'one in a reason' => "HTTP/1.1 200 O\rK\r\n$two",
    'a fold of nothing' => $ok . " X-A: 1\r\n$two",
    'a negative length' => $ok . "Content-Length: -2\r\n\r\nok",
    'a chunk without a size' => $ok . "Transfer-Encoding: chunked\r\n\r\n"
        . "zz\r\nok\r\n0\r\n\r\n",
    'an unknown version' => "HTTP/3.1 200 OK\r\n$two",
    'a version in small letters' => "http/1.1 200 OK\r\n$two",
    'another protocol' => "ICY 200 OK\r\n$two",
    'an empty line first' => "\r\nHTTP/1.1 200 OK\r\n$two",
    'no head' => 'hello',
    'nothing' => '',
);

while (my ($name, $text) = splice @bad, 0, 2) {
    subtest "$name is an error" => sub {
        my $hex = unpack 'H*', $text;

        # a part of a response cannot be taken back

        unless ($name =~ /chunk/) {
            for my $method (qw(GET POST)) {
                my ($status, $fields, $body)
                    = parse(get($method, "/direct/$hex"));
                my %f = map { @$_ } @$fields;

                is($status, 502, "$method, held: status");
                is($f{'Content-Type'}, 'application/problem+json', 'type');
            }
        }

        my ($s, $f) = stored($hex);
        is($s, 502, 'stored: status');
        ok(!(grep { lc $_->[0] eq 'asyncresult' } @$f), 'no response');
    };
}


$nginx->stop;

done_testing;
