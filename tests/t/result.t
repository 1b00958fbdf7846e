#!/usr/bin/perl

# J/result: the stored response, with the header fields it has there, in whole
# and in parts, to fast and to slow readers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Backend;
use Driver qw(free_port until_true);
use IO::Socket::INET;
use JSON::PP;
use Test::More;

my $dir = File::Temp::tempdir(CLEANUP => 1);
my $backend = Backend->new($dir);
my ($port, $odata, $http2) = map { free_port() } 1 .. 3;

my $nginx = Driver->new(port => $port, dir => $dir, http => <<"END");
    async_wait_max 10s;

    server {
        listen 127.0.0.1:$port;
        add_header X-Server once always;
        add_header X-Content-Type-Options nosniff always;
        add_header Cache-Control "public, max-age=60" always;
        expires 1h;

        location / {
            async on;
            proxy_pass http://127.0.0.1:@{[ $backend->port ]};
            proxy_read_timeout 1s;
        }

        location /short/ {
            async on;
            async_timeout 200ms;
            proxy_pass http://127.0.0.1:@{[ $backend->port ]};
        }

        location /small/ {
            async on;
            async_max_response_size 1k;
            proxy_pass http://127.0.0.1:@{[ $backend->port ]};
        }

        location /jobs/ { async_jobs; }
    }

    server {
        listen 127.0.0.1:$odata;
        async_owner joe;

        location / {
            async on;
            async_timeout 200ms;
            proxy_pass http://127.0.0.1:@{[ $backend->port ]};
        }

        location /jobs/ {
            async_jobs;
            async_result_status 200;
            async_hide_header X-Hidden;
            async_pass_header Set-Cookie;
            async_pass_header Cache-Control;
            gzip on;
            gzip_types text/plain;
        }
    }
END


sub result
{
    my ($url, %args) = @_;

    my $base = "http://127.0.0.1:" . ($args{port} // $port);
    my $job = $nginx->submit(GET => "$base$url");

    return ($job, $nginx->request(GET => "$job/result?wait=10", %args));
}

sub part
{
    my ($job, $range, %headers) = @_;

    return $nginx->request(GET => "$job/result",
                           headers => { Range => $range, %headers });
}

sub header { return $_[0]->{headers}{lc $_[1]} }


# header fields

my ($job, $r) = result('/a/b?h=Set-Cookie:a%3d1&h=Location:../c%3fd'
    . '&h=Content-Location:e&h=ETag:"v1"&h=Vary:A&h=Vary:B&h=Expires:0'
    . '&h=Age:5&h=Pragma:no-cache&h=Retry-After:9&h=X-Own:%20some%20thing'
    . '&h=Last-Modified:Wed,%2021%20Oct%202015%2007:28:00%20GMT'
    . '&h=Content-Type:text/csv;charset=utf-8;header=present'
    . '&h=Cache-Control:public&h=Referrer-Policy:origin&h=AsyncResult:999');

is($r->{status}, 200, 'the result is there');
is($r->{content}, 'GET ', 'its body');
is_deeply(header($r, 'Vary'), ['A', 'B'], 'repeated fields in their order');
is(header($r, 'X-Own'), 'some thing', 'a field of the upstream');
is(header($r, 'Content-Type'), 'text/csv;charset=utf-8;header=present',
    'the type with its parameters');
is(header($r, 'Location'), "http://127.0.0.1:$port/c?d",
    'Location is made absolute');
is(header($r, 'Content-Location'), "http://127.0.0.1:$port/a/e",
    'and Content-Location');
is(header($r, 'ETag'), '"v1"', "the upstream's ETag");
is(header($r, 'Last-Modified'), 'Wed, 21 Oct 2015 07:28:00 GMT',
    "the upstream's Last-Modified");
is(header($r, $_), undef, "no $_")
    for qw(Set-Cookie Expires Age Pragma Retry-After);
is(header($r, 'Cache-Control'), 'private, no-cache', 'Cache-Control is ours');
is(header($r, 'Referrer-Policy'), 'no-referrer', 'and Referrer-Policy');
is(header($r, 'X-Content-Type-Options'), 'nosniff', 'nosniff once');
is(header($r, 'X-Server'), 'once', 'fields of both locations once');
is(header($r, 'AsyncResult'), 200, 'AsyncResult');
is(header($r, 'Async-Status'), 'succeeded', 'Async-Status');

# conditions

$r = part($job, 'bytes=0-1', 'If-Range' => '"v1"');
is($r->{status}, 206, 'If-Range that matches');
$r = part($job, 'bytes=0-1', 'If-Range' => '"v2"');
is($r->{status}, 200, 'If-Range that does not');
$r = $nginx->request(GET => "$job/result",
                     headers => { 'If-None-Match' => '"v1"' });
is($r->{status}, 304, 'If-None-Match that matches');
$r = $nginx->request(GET => "$job/result", headers =>
    { 'If-Modified-Since' => 'Wed, 21 Oct 2015 07:28:00 GMT' });
is($r->{status}, 304, 'If-Modified-Since that matches');
$r = $nginx->request(HEAD => "$job/result");
is("$r->{status} " . header($r, 'Content-Length'), '200 4', 'HEAD');

($job, $r) = result('/noetag');
my $etag = header($r, 'ETag');
like($etag, qr/^"[0-9a-f-]+"$/, 'an ETag where the upstream gave none');
$r = $nginx->request(GET => "$job/result",
                     headers => { 'If-None-Match' => $etag });
is($r->{status}, 304, 'that works');

# statuses

for my $status (200, 201, 202, 204, 304, 400, 404, 429, 500, 502, 599) {
    ($job, $r) = result("/s?status=$status");
    my $failed = $status >= 400 ? 'failed' : 'succeeded';

    is($r->{status}, $status == 202 ? 200 : $status, "status $status");
    is(header($r, 'AsyncResult'), $status, 'in AsyncResult');
    is(header($r, 'Async-Status'), $failed, "means $failed");

    ($job, $r) = result("/s?status=$status", port => $odata);

    is($r->{status}, 200, "$status with async_result_status 200");
    is(header($r, 'AsyncResult'), $status, 'in AsyncResult');
}

# what may hold a script

for ('text/html', 'image/svg+xml', 'Text/HTML;charset=utf-8',
    'application/xhtml+xml')
{
    ($job, $r) = result("/h?h=Content-Type:" . s/\+/%2b/r);
    is(header($r, 'Content-Security-Policy'), 'sandbox', "$_ is sandboxed");
}

($job, $r) = result(
    "/h?h=Content-Type:text/html&h=Content-Security-Policy:img-src%20x:");
is_deeply(header($r, 'Content-Security-Policy'), ['img-src x:', 'sandbox'],
    "beside the upstream's policy");
($job, $r) = result("/h?h=Content-Type:text/plain");
is(header($r, 'Content-Security-Policy'), undef, 'a text is not');
($job, $r) = result("/h?h=Content-Type:text/html", port => $odata);
is(header($r, 'Content-Security-Policy'), undef, 'nor what has an owner');

# directives of the jobs location

($job, $r) = result('/d?h=Set-Cookie:a%3d1&h=X-Hidden:1&h=X-Shown:2'
    . '&h=Cache-Control:max-age%3d5&h=Content-Type:text/plain&size=5000',
    port => $odata, headers => { 'Accept-Encoding' => 'gzip' });
is(header($r, 'Set-Cookie'), 'a=1', 'async_pass_header');
is(header($r, 'Cache-Control'), 'max-age=5', 'even of Cache-Control');
is(header($r, 'X-Hidden'), undef, 'async_hide_header');
is(header($r, 'X-Shown'), '2', 'of one field only');
is(header($r, 'Content-Encoding'), 'gzip', 'filters of the jobs location');

# no response

my $gone = $nginx->submit(GET => '/short/?gate=never');
$r = $nginx->request(GET => "$gone/result?wait=10");
is($r->{status}, 504, 'a timeout');
is(header($r, 'Async-Status'), 'failed', 'Async-Status');
is(header($r, 'AsyncResult'), undef, 'no AsyncResult');
is(header($r, 'Content-Type'), 'application/problem+json', 'a problem');
is(decode_json($r->{content})->{code}, 'timeout', 'with its code');

$r = $nginx->request(GET => $nginx->submit(GET => '/small/?size=5000')
                            . '/result?wait=10');
is($r->{status}, 502, 'a response that is too large');
is(decode_json($r->{content})->{code}, 'response_too_large', 'with its code');

(undef, $r) = result('/x?gate=never', port => $odata);
is($r->{status}, 200, 'a timeout with async_result_status 200');
is(header($r, 'AsyncResult'), 504, 'in AsyncResult');
is(decode_json($r->{content})->{status}, 504, 'and in the problem');

# sizes around the store's pieces, and ranges of a large body

for my $size (1, 65000, 65519, 65520, 65521, 65536, 131039, 131040, 131041) {
    ($job, $r) = result("/size?size=$size");
    ok($r->{content} eq Backend::body($size), "$size bytes");
}

my $size = 3 * 1024 * 1024 + 17;
my $body = Backend::body($size);

($job, $r) = result("/large?size=$size");
ok($r->{content} eq $body, "$size bytes");

for ([0, 0], [1, 100], [65519, 65520], [65400, 65700], [1000000, 2000000],
    [131000, 262100], [$size - 1, $size - 1], [$size - 70000, $size - 1],
    [0, $size - 1])
{
    my ($from, $to) = @$_;

    $r = part($job, "bytes=$from-$to");
    is($r->{status}, 206, "bytes $from to $to");
    is(header($r, 'Content-Range'), "bytes $from-$to/$size", 'its range');
    is(header($r, 'AsyncResult'), 200, 'AsyncResult');
    ok($r->{content} eq substr($body, $from, $to - $from + 1), 'its bytes');
}

$r = part($job, 'bytes=-5');
is($r->{content}, substr($body, -5), 'the last bytes');
$r = part($job, 'bytes=0-5,10-15');
is($r->{status}, 200, 'several ranges of a large body');
ok($r->{content} eq $body, 'give all of it');
$r = part($job, "bytes=$size-");
is($r->{status}, 416, 'a range behind the end');
is(header($r, 'Content-Range'), "bytes */$size", 'its Content-Range');

# what nginx itself answers

for my $case (
    [412, ['If-Match: "x"'], 200],
    [412, ['If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT'], 200],
    [416, ["Range: bytes=$size-"], undef],
    [304, ['If-None-Match: *'], undef],
) {
    my ($status, $headers, $result) = @$case;
    my %headers = map { split /: /, $_, 2 } @$headers;

    my $e = $nginx->request(GET => "$job/result", headers => \%headers);

    is($e->{status}, $status, "$headers->[0]: $status");
    is(header($e, 'Referrer-Policy'), 'no-referrer',
       "$status: Referrer-Policy");
    is(header($e, 'X-Content-Type-Options'), 'nosniff', "$status: nosniff");
    like(header($e, 'Cache-Control') // '', qr/no-store|no-cache/,
         "$status: Cache-Control");
    is(header($e, 'AsyncResult'), $result, "$status: AsyncResult")
        if $result;
}

$r = $nginx->request(GET => "$job/result", body => "x" x 1100000);
is($r->{status}, 413, 'a body that is too large');
is(header($r, 'Referrer-Policy'), 'no-referrer', '413: Referrer-Policy');
is(header($r, 'Cache-Control'), 'no-store', '413: Cache-Control');

(my $small) = result('/few?size=20&h=Content-Type:text/csv');
$r = part($small, 'bytes=0-1,4-5');
is($r->{status}, 206, 'several ranges of a small body');
like($r->{content}, qr/01\r\n--.*45\r\n--/s, 'are multipart');

# a reader that takes its time, and ones that leave: more than sockets hold

$size = 20 * 1024 * 1024;
$body = Backend::body($size);

($job, $r) = result("/huge?size=$size", timeout => 30);
my ($path) = $job =~ m{^http://[^/]+(.*)};


# a connection whose response has begun to come

sub reader
{
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or die "connect: $!";

    print $s "GET $path/result HTTP/1.1\r\nHost: a\r\n"
        . "Connection: close\r\n\r\n";
    sysread $s, my $got, 1000;

    return ($s, $got);
}

my ($slow, $got) = reader();
my ($cut, $some) = reader();

for (1 .. 5) {
    my ($leaves) = reader();
    close $leaves;
}

1 while sysread $slow, $got, 65536, length $got;
$got = substr $got, 4 + index $got, "\r\n\r\n";
ok($got eq $body, 'a slow reader gets all of it');

# a result that is removed while it is sent is not taken for a whole

is($nginx->request(DELETE => $job)->{status}, 204, 'it is forgotten');
1 while sysread $cut, $some, 65536, length $some;
cmp_ok(length $some, '<', $size, 'its reader sees that the end is missing');

$nginx->stop;
done_testing;
