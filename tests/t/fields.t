#!/usr/bin/perl

# The header of J/result, field by field, and the parts of its body.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;

my $t = Jobs->new(http => sub {
    my ($t) = @_;
    my $pass = "proxy_pass http://127.0.0.1:$t->{backend};";
    return <<"END";
    add_header X-Both same;

    server {
        listen 127.0.0.1:$t->{port};

        location / { async on; $pass }
        location /html/ {
            async on;
            async_owner \$http_x_user;
            async_jobs_uri /owned/;
            $pass
        }
        location /redirect/ { async on; proxy_pass http://127.0.0.1:1/;
                              error_page 502 =301 /elsewhere; }
        location = /elsewhere { return 301 /there; }

        location /jobs/ { async_jobs; expires 1h; etag off; }
        location /200/ { async_jobs; async_result_status 200; }
        location /shown/ {
            async_jobs;
            async_pass_header Set-Cookie;
            async_pass_header Retry-After;
            async_pass_header Expires;
            async_hide_header X-Secret;
            async_hide_header Content-Location;
        }
        location /owned/ { async_owner \$http_x_user; async_jobs; }
        async_jobs_uri /jobs/;
    }
END
});


sub q_
{
    my (@headers) = @_;
    return join '', map { '&h=' . Jobs::escape($_) } @headers;
}


# order, repeats, what belongs to a connection

{
    my $job = $t->done(GET => '/x?b=body' . q_(
        'X-B: 1', 'X-A: 2', 'X-B: 3', 'X-Empty: ', 'Link: </a>, </b>',
        'Keep-Alive: timeout=5', 'Proxy-Authenticate: Basic', 'Trailer: X-T',
        'WWW-Authenticate: Basic', 'WWW-Authenticate: Digest', 'Vary: X-A',
        'Content-Language: de', 'Content-Disposition: attachment',
        'Cache-Control: max-age=60', 'Cache-Control: public',
        'Expires: Thu, 01 Jan 2037 00:00:00 GMT', 'Pragma: x', 'Age: 5',
        'Retry-After: 5', 'Set-Cookie: a=b', 'Set-Cookie: c=d',
        'X-Secret: s', 'AsyncResult: 7', 'Async-Status: none',
        'X-Content-Type-Options: nosniff', 'Referrer-Policy: origin'));
    my $r = $t->ask(GET => "$job/result");

    is($r->{status}, 200, 'the result');
    is($r->{body}, 'body', 'the body');

    my @order = grep { /^X-[AB]$/ } map { $_->[0] } @{$r->{headers}};
    is("@order", 'X-B X-A X-B', 'fields in order');
    is(join(' ', $r->all('x-b')), '1 3', 'with repeats');
    is($r->header('link'), '</a>, </b>', 'values as they are');
    is(join(' ', $r->all('www-authenticate')), 'Basic Digest',
       'end-to-end fields');
    is($r->header('content-language'), 'de', 'Content-Language');
    is($r->header('content-disposition'), 'attachment',
       'Content-Disposition');
    is($r->header('x-secret'), 's', 'X-Secret');
    is($r->header($_), undef, "no $_") for qw(keep-alive proxy-authenticate
        trailer expires pragma age retry-after set-cookie);
    is($r->header('cache-control'), 'private, no-cache', 'Cache-Control');
    is($r->header('asyncresult'), '200', 'AsyncResult is the module\'s own');
    is($r->header('async-status'), 'succeeded', 'Async-Status, too');
    is($r->header('referrer-policy'), 'no-referrer', 'Referrer-Policy');
    is($r->header('x-content-type-options'), 'nosniff', 'nosniff once');
    is($r->header('x-both'), 'same', 'what both locations add is there once');
    is(scalar(() = $r->all('etag')), 1, 'an ETag');
    is(scalar(() = $r->all($_)), 1, "one $_")
        for qw(server date content-type content-length);

    (my $shown = $job) =~ s{/jobs/}{/shown/};
    $r = $t->ask(GET => "$shown/result");

    is(join(' ', $r->all('set-cookie')), 'a=b c=d',
       'async_pass_header Set-Cookie');
    is($r->header('retry-after'), '5', 'async_pass_header Retry-After');
    is($r->header('expires'), 'Thu, 01 Jan 2037 00:00:00 GMT',
       'async_pass_header Expires');
    is($r->header('x-secret'), undef, 'async_hide_header');
    is($r->header('cache-control'), 'private, no-cache',
       'others are as they were');
}

# references

for my $case (
    ['/made', '/made'], ['made', '/dir/made'], ['../made', '/made'],
    ['?q', '/dir/x?q'], ['//other/made', 'http://other/made'],
    ['https://other/made?a#b', 'https://other/made?a#b'],
    ['#frag', '/dir/x?ORIG#frag'], ['', ''], ['./a/../b', '/dir/b'],
) {
    my ($from, $to) = @$case;
    my $uri = '/dir/x?s=201&b=x' . q_("Location: $from",
                                      "Content-Location: $from");
    my $job = $t->done(POST => $uri, body => '');
    my $r = $t->ask(GET => "$job/result");

    (my $query = $uri) =~ s/.*?\?//;
    $to =~ s/ORIG/$query/;
    $to = "http://localhost:$t->{port}$to" if $to =~ m{^/};

    is($r->header('location'), $to, "Location: $from") if $from ne '';
    is($r->header('content-location'), $to, "Content-Location: $from")
        if $from ne '';
}

# statuses

for my $case ([200, 200], [201, 201], [202, 200], [203, 203], [204, 204],
              [301, 301], [302, 302], [400, 400], [404, 404], [409, 409],
              [418, 418], [500, 500], [503, 503], [599, 599])
{
    my ($status, $replayed) = @$case;
    my $job = $t->done(GET => "/?s=$status&b=x");
    my $r = $t->ask(GET => "$job/result");

    is($r->{status}, $replayed, "$status: replayed as $replayed");
    is($r->header('asyncresult'), $status, "$status: AsyncResult");
    is($r->header('async-status'), $status < 400 ? 'succeeded' : 'failed',
       "$status: Async-Status");
    is($r->{body}, $status == 204 ? '' : 'x', "$status: the body");

    (my $other = $job) =~ s{/jobs/}{/200/};
    $r = $t->ask(GET => "$other/result");
    is($r->{status}, 200, "$status: async_result_status 200");
    is($r->header('asyncresult'), $status, "$status: AsyncResult");
    is($r->{body}, $status == 204 ? '' : 'x', "$status: the body");
}

# parts

my $body = join '', map { sprintf '%07d,', $_ } 1 .. 50000;

open my $f, '>', "$t->{dir}/large" or die;
print $f $body;
close $f;

my $small = $t->done(GET => '/?b=0123456789' . q_('ETag: "e"',
    'Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT'));
my $large = $t->done(POST => '/', body => $body);
my $whole = $t->ask(GET => "$large/result")->{body};

sub part
{
    my ($job, $range, @headers) = @_;
    return $t->ask(GET => "$job/result",
                   headers => ["Range: bytes=$range", @headers]);
}

for my $case (['0-0', '0'], ['2-4', '234'], ['7-', '789'], ['-2', '89'],
              ['0-99', '0123456789'])
{
    my ($range, $want) = @$case;
    my $r = part($small, $range);

    is($r->{status}, 206, "Range: $range: 206");
    is($r->{body}, $want, "Range: $range: the part");
    is($r->header('content-length'), length $want, "Range: $range: length");
    like($r->header('content-range'), qr{^bytes \d+-\d+/10$},
         "Range: $range: Content-Range");
    is($r->header('asyncresult'), 200, "Range: $range: AsyncResult");
    is($r->header('async-status'), 'succeeded', "Range: $range: Async-Status");
}

{
    my $r = part($small, '20-30');
    is($r->{status}, 416, 'out of range: 416');
    is($r->header('content-range'), 'bytes */10', 'with the size');

    $r = part($small, '0-1,4-5');
    is($r->{status}, 206, 'several ranges');
    like($r->header('content-type'), qr{^multipart/byteranges}, 'multipart');
    like($r->{body}, qr/\r\n\r\n01\r\n.*\r\n\r\n45\r\n/s, 'both parts');

    is(part($small, '0-1', 'If-Range: "e"')->{status}, 206, 'If-Range');
    is(part($small, '0-1', 'If-Range: "f"')->{status}, 200, 'If-Range fails');
    is(part($small, '0-1', 'If-Range: Thu, 01 Jan 2015 00:00:00 GMT')
       ->{status}, 206, 'If-Range by date');

    my $n = length $whole;

    for my $from (0, 65519, 65520, 65521, 131040, 262143, $n - 1) {
        my $to = $from + 100 < $n ? $from + 100 : $n - 1;
        $r = part($large, "$from-$to");
        ok($r->{body} eq substr($whole, $from, $to - $from + 1),
           "a part from $from");
    }

    $r = part($large, '100-300000');
    ok($r->{body} eq substr($whole, 100, 299901), 'a large part');
    $r = part($large, '-70000');
    ok($r->{body} eq substr($whole, -70000), 'a large end');

    $r = $t->ask(HEAD => "$large/result");
    is($r->{status}, 200, 'HEAD');
    is($r->header('content-length'), $n, 'the length');
    is($r->header('asyncresult'), 200, 'AsyncResult');
    is($r->{body}, '', 'no body');

    my $failed = $t->done(GET => '/?s=500&b=0123456789');
    $r = part($failed, '0-1');
    is($r->{status}, 500, 'a range of an error is all of it');
    is($r->{body}, '0123456789', 'with its body');
}

# conditions

for my $case (
    ['If-None-Match: "e"', 304], ['If-None-Match: W/"e"', 304],
    ['If-None-Match: "x", "e"', 304], ['If-None-Match: *', 304],
    ['If-None-Match: "x"', 200],
    ['If-Modified-Since: Thu, 01 Jan 2015 00:00:00 GMT', 304],
    ['If-Match: "x"', 412], ['If-Match: "e"', 200],
) {
    my ($header, $status) = @$case;
    my $r = $t->ask(GET => "$small/result", headers => [$header]);

    is($r->{status}, $status, $header);
    is($r->{body}, '', "$header: no body") if $status == 304;
    is($r->header('etag'), '"e"', "$header: ETag") if $status == 304;
}

{
    my $etag = $t->ask(GET => "$large/result")->header('etag');

    like($etag, qr/^"[^"]+"$/, 'the module\'s own ETag');
    is($t->ask(GET => "$large/result")->header('etag'), $etag, 'stays');
    is($t->ask(GET => "$large/result",
               headers => ["If-None-Match: $etag"])->{status}, 304, 'works');

    my $other = $t->done(POST => '/', body => $body);
    isnt($t->ask(GET => "$other/result")->header('etag'), $etag,
         'another job has another one');

    is($t->ask(GET => $small, headers => ['If-None-Match: *'])->{status}, 200,
       'J knows no conditions');
}

# active content

for my $case (
    ['text/html', 1], ['text/html; charset=utf-8', 1], ['TEXT/HTML', 1],
    ['image/svg+xml', 1], ['application/xhtml+xml', 1], ['text/plain', 0],
    ['application/json', 0], ['image/png', 0],
) {
    my ($type, $active) = @$case;
    my $q = 'b=x' . q_("Content-Type: $type");
    my $job = $t->done(GET => "/?$q");

    is($t->ask(GET => "$job/result")->header('content-security-policy'),
       $active ? 'sandbox' : undef, "$type: " . ($active ? '' : 'not ')
       . 'sandboxed');

    my $r = $t->ask(GET => "/html/?$q", headers => ['X-User: a']);
    my $url = $r->header('operation-location');

    Driver::until_true(5, sub {
        $r = $t->ask(GET => "$url/result", headers => ['X-User: a']);
        return $r->{status} == 200;
    });

    is($r->header('content-security-policy'), undef,
       "$type: not with an owner");
}

{
    my $job = $t->done(GET => '/?b=x' . q_('Content-Type: text/html',
        "Content-Security-Policy: default-src 'self'"));
    my @csp = $t->ask(GET => "$job/result")->all('content-security-policy');

    is(join(' + ', sort @csp), "default-src 'self' + sandbox",
       'an upstream\'s policy stays, sandbox is a second one');
}

# a redirect by nginx itself

{
    my $job = $t->done(GET => '/redirect/');
    my $r = $t->ask(GET => "$job/result");

    is($r->{status}, 301, 'a redirect of nginx');
    is($r->header('location'), "http://localhost:$t->{port}/there",
       'is absolute, once');
}

# the same for HTTP/1.0 and on a connection that is kept

{
    my $r = $t->ask(GET => "$large/result", version => '1.0');
    ok($r->{body} eq $whole, 'HTTP/1.0');

    my $c = $t->begin(GET => "$small/result",
        before => "GET /jobs/x HTTP/1.1\r\nHost: localhost\r\n\r\n"
                  . "GET $small/result HTTP/1.1\r\nHost: localhost\r\n\r\n");
    my $text = $c->finish->{text};
    is(scalar(() = $text =~ m{HTTP/1\.1 \d+}g), 3, 'pipelined');
    is(scalar(() = $text =~ m{\r\n\r\n0123456789}g), 2, 'with their bodies');
}

$t->stop;

done_testing;
