#!/usr/bin/perl

# J/result: bodies of all sizes, in whole and in parts, to fast and to slow
# readers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Backend;
use Driver qw(free_port);
use IO::Socket::INET;
use Test::More;

my $dir = File::Temp::tempdir(CLEANUP => 1);
my $backend = Backend->new($dir);
my $port = free_port();

my $nginx = Driver->new(port => $port, dir => $dir, http => <<"END");
    async_wait_max 10s;

    server {
        listen 127.0.0.1:$port;
        location / {
            async on;
            proxy_pass http://127.0.0.1:@{[ $backend->port ]};
        }

        location /jobs/ { async_jobs; }
    }
END


sub result
{
    my ($url, %args) = @_;

    my $job = $nginx->submit(GET => $url);

    return ($job, $nginx->request(GET => "$job/result?wait=10", %args));
}

sub part
{
    my ($job, $range, %headers) = @_;

    return $nginx->request(GET => "$job/result",
                           headers => { Range => $range, %headers });
}

sub header { return $_[0]->{headers}{lc $_[1]} }


# sizes around the store's pieces, and ranges of a large body

my ($job, $r);

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

# on a connection that is kept, and for HTTP/1.0

{
    my ($uri) = $job =~ m{^http://[^/]+(.*)};

        for my $version ("1.1\r\nHost: a", "1.0\r\nConnection: keep-alive") {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                      PeerPort => $port) or die "connect: $!";

        print $s map { "GET $uri$_\r\n\r\n" }
            "/result HTTP/$version", "x HTTP/$version", "/result HTTP/1.0";

        my $text = '';
        1 while sysread $s, $text, 1 << 20, length $text;

        is(() = $text =~ m{HTTP/1\.1 (?:200|404) }g, 3, 'several in a row');
        is(() = $text =~ /\r\n\r\n\Q$body/g, 2, 'with their bodies');
    }
}

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
