#!/usr/bin/perl

# Direct calls: what a backend of async_pass is sent, and what is kept of what
# it answers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Driver qw(free_port backend);
use IO::Socket::INET;
use Test::More;

# answers with the request as it came

my $echo = backend(sub {
    my ($s) = @_;
    my ($head, $body) = Driver::read_request($s);
    my $text = $head . $body;
    print $s "HTTP/1.1 200 OK\r\nContent-Length: ", length $text,
        "\r\nConnection: close\r\n\r\n", $text;
});

# answers with what the target says, as hex digits

my $say = backend(sub {
    my ($s) = @_;
    my ($head) = Driver::read_request($s);
    my ($hex) = $head =~ m{^\S+ /say/([0-9a-f]+)};
    print $s pack 'H*', $hex;
});

my $port = free_port();
my $dir = File::Temp::tempdir(CLEANUP => 1);

# locations that are the same for async_pass and for proxy_pass

sub locations
{
    my ($pass) = @_;

    return <<"END";
        location /plain/ { $pass http://127.0.0.1:$echo; }
        location /root/ { $pass http://127.0.0.1:$echo/; }
        location /uri/ { $pass http://127.0.0.1:$echo/other/; }
        location /query/ { $pass http://127.0.0.1:$echo/other?a=b&c=; }
        location /case { $pass HTTP://127.0.0.1:$echo/x; }
        location ~ ^/regex/(.*) { $pass http://127.0.0.1:$echo; }
        location ~ ^/capture/(.*) { $pass http://127.0.0.1:$echo/c/\$1; }
        location /variable/ {
            set \$backend 127.0.0.1:$echo;
            $pass http://\$backend;
        }
        location /variable-uri/ {
            set \$uri_of_it /fixed?x=y;
            $pass http://127.0.0.1:$echo\$uri_of_it;
        }
        location /variable-query/ {
            set \$q a=b;
            $pass http://127.0.0.1:$echo?\$q;
        }
        location /rewritten/ {
            rewrite ^/rewritten/(.*) /new/\$1 break;
            $pass http://127.0.0.1:$echo;
        }
        location /rewritten-uri/ {
            rewrite ^/rewritten-uri/(.*) /new/\$1 break;
            $pass http://127.0.0.1:$echo/other/;
        }
        location /named/ { error_page 404 = \@named; return 404; }
        location \@named { $pass http://127.0.0.1:$echo; }
        location /status/ { error_page 404 \@named; return 404; }
        location /status-503/ { error_page 404 =503 \@named; return 404; }
END
}

my $nginx = Driver->new(port => $port, dir => $dir, http => <<"END");
    async_wait 10s;
    client_body_buffer_size 16k;
    client_max_body_size 10m;

    server {
        listen 127.0.0.1:$port;
        server_name async;
        async on;
        @{[ locations('async_pass') ]}

        location /set/ {
            async_pass http://127.0.0.1:$echo;
            async_set_header Host \$host;
            async_set_header X-Set "a \$arg_v";
            async_set_header X-Removed "";
        }
        location /say/ { async_pass http://127.0.0.1:$say; }
        location /unix/ { async_pass http://unix:$dir/socket:/there/; }
        location /unix-plain/ { async_pass http://unix:$dir/socket; }
        location /big/ { async_pass http://127.0.0.1:$port/files/; }
        location /files/ { async off; alias $dir/; }

        location /sent-on/ { proxy_pass http://unix:$dir/socket; }
        location /dead/ {
            proxy_pass http://unix:$dir/socket;
            proxy_intercept_errors on;
            error_page 502 = /plain/dead;
        }
        location /dead-big/ {
            proxy_pass http://unix:$dir/socket;
            proxy_intercept_errors on;
            error_page 502 = /big/large;
        }

        location /jobs/ { async_jobs; }
    }

    server {
        listen 127.0.0.1:$port;
        server_name plain;
        @{[ locations('proxy_pass') ]}
    }

    server {
        listen unix:$dir/socket;
        location / { return 200 "\$request_uri \$http_host"; }
        location /sent-on/ {
            add_header X-Accel-Redirect /plain/sent;
            return 200;
        }
        location /dead { return 502; }
    }
END


# a request of exactly these bytes; the response, head and body apart

sub raw
{
    my ($text) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or die "connect: $!";
    print $s $text;

    local $SIG{ALRM} = sub { die "no response\n" };
    alarm 15;
    local $/;
    my $answer = eval { <$s> } // '';
    alarm 0;

    return $answer =~ /^(.*?\r\n)\r\n(.*)$/s;
}


sub get
{
    my ($target, $host, $fields) = @_;

    return raw("GET $target HTTP/1.1\r\nHost: $host\r\n"
               . ($fields // '') . "Connection: close\r\n\r\n");
}


sub target_of { my ($line) = ($_[0] // '') =~ /^\S+ (.*) HTTP/; return $line }


subtest 'the URI is the one that proxy_pass sends' => sub {
    for my $target (
        '/plain/a?b=c', '/plain/%41%2f%2e%2e/x', '/plain//x/./y/../z',
        '/plain/a+b%20c', '/plain/?', '/plain/#f',
        '/root/a%20b?c=d', '/root/', '/root/%3f%23', '/root//x/../y',
        '/uri/a%2520b', '/uri/x?y=%20', '/query/z', '/query/z?1',
        '/case', '/caseless?x',
        '/regex/a%20b?c', '/capture/ab?c', '/variable/a%20b?c=d',
        '/variable-uri/ignored?too', '/variable-query/x',
        '/rewritten/a%20b?c', '/rewritten-uri/a%20b?c', '/named/a%20b?c=d')
    {
        my (undef, $async) = get($target, 'async');
        my (undef, $plain) = get($target, 'plain');

        ok(defined target_of($plain), "$target arrives");
        is(target_of($async), target_of($plain), "$target is the same");
    }
};


subtest 'fields as nginx understood them' => sub {
    my (undef, $body) = get('/plain/x', 'async',
        "X-One: 1\r\nX-one:   2  \r\nX-Empty:\r\nUpgrade-Insecure: 1\r\n"
        . "TE: trailers\r\nKeep-Alive: 5\r\nX-Hop: 1\r\nConnection: x-hop\r\n"
        . "Prefer: handling=strict, wait=9\r\nCookie: a=b; c=d\r\n");

    is($body, "GET /plain/x HTTP/1.1\r\nHost: 127.0.0.1:$echo\r\n"
       . "X-One: 1\r\nX-one: 2\r\nX-Empty:\r\nUpgrade-Insecure: 1\r\n"
       . "Prefer: handling=strict\r\nCookie: a=b; c=d\r\n\r\n",
       'nothing is added');

    (undef, $body) = get('/set/x?v=b', 'async',
                         "X-Set: client\r\nX-Removed: 1\r\nX-Kept: 1\r\n");

    like($body, qr/^Host: async\r$/m, 'Host is set');
    like($body, qr/^X-Set: a b\r$/m, 'a field is set');
    unlike($body, qr/client|X-Removed/, 'those of the client are replaced');
    like($body, qr/^X-Kept: 1\r$/m, 'others are kept');
};


subtest 'bodies' => sub {
    my (undef, $body) = raw("POST /plain/x HTTP/1.1\r\nHost: async\r\n"
        . "Connection: close\r\nContent-Type: a/b\r\nContent-Length: 3\r\n"
        . "\r\nabc");

    like($body, qr/^POST .*\r\n\r\nabc$/s, 'the body');
    like($body, qr/^Content-Length: 3\r$/m, 'its length');
    like($body, qr/^Content-Type: a\/b\r$/m, 'its type');
    unlike($body, qr/Expect|Transfer-Encoding/, 'nothing else');

    (undef, $body) = raw("POST /plain/x HTTP/1.1\r\nHost: async\r\n"
        . "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        . "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");

    like($body, qr/^POST .*\r\n\r\nabcde$/s, 'a chunked body');
    like($body, qr/^Content-Length: 5\r$/m, 'gets a length');

    (undef, $body) = raw("POST /plain/x HTTP/1.1\r\nHost: async\r\n"
        . "Connection: close\r\nContent-Length: 0\r\n\r\n");

    like($body, qr/^Content-Length: 0\r$/m, 'an empty body');

    (undef, $body) = raw("POST /plain/x HTTP/1.1\r\nHost: async\r\n"
        . "Connection: close\r\n\r\n");

    unlike($body, qr/Content-/, 'no body at all');

    (undef, $body) = raw("DELETE /plain/x HTTP/1.1\r\nHost: async\r\n"
        . "Connection: close\r\nContent-Length: 1\r\n\r\nx");

    like($body, qr/^DELETE .*\r\n\r\nx$/s, 'a body of another method');

    my $big = join '', map { pack 'N', $_ * 2654435761 % 4294967296 }
                           1 .. 300000;

    (undef, $body) = raw("PUT /plain/x HTTP/1.1\r\nHost: async\r\n"
        . "Connection: close\r\nContent-Length: " . length($big)
        . "\r\n\r\n$big");

    ok(substr($body, -length $big) eq $big, 'a body in a file');
};


sub said
{
    my ($response, $method) = @_;

    return raw(($method // 'GET') . ' /say/' . unpack('H*', $response)
               . " HTTP/1.1\r\nHost: async\r\nConnection: close\r\n\r\n");
}


subtest 'responses as the backend sent them' => sub {
    my ($head, $body) = said("HTTP/1.1 299 Odd Reason\r\nX-B: 1\r\n"
        . "X-a:  two words \r\nX-B: 2\r\nContent-Type: a/b; c=d\r\n"
        . "Content-Encoding: gzip\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n"
        . "Connection: close, x-hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\n"
        . "ETag: \"e\"\r\nContent-Length: 9\r\n\r\nnot\0gzip\n");

    like($head, qr/^HTTP\/1.1 299 Odd Reason\r\n/, 'status and reason');
    is(join('|', $head =~ /^(X-.*|Set-Cookie.*)\r$/mg),
       'X-B: 1|X-a: two words|X-B: 2|Set-Cookie: a=b|Set-Cookie: c=d',
       'fields in their order, with repeats');
    like($head, qr/^Content-Type: a\/b; c=d\r$/m, 'the type');
    like($head, qr/^ETag: "e"\r$/m, 'the tag');
    like($head, qr/^Content-Encoding: gzip\r$/m, 'the encoding');
    is($body, "not\0gzip\n", 'the body is not decoded');

    ($head, $body) = said("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
        . "\r\n3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n");

    like($body, qr/abc/, 'chunks are taken apart');
    unlike($head, qr/X-Trailer/, 'a trailer is no header field');

    ($head, $body) = said("HTTP/1.1 100 Continue\r\n\r\n"
        . "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        . "HTTP/1.1 204 No Content\r\nX-Last: 1\r\n\r\n");

    like($head, qr/^HTTP\/1.1 204/, 'interim responses are passed over');
    unlike($head, qr/^Link/m, 'with their fields');

    ($head, $body) = said("HTTP/1.0 200 OK\r\n\r\nuntil it closes");

    like($body, qr/^(?:f\r\n)?until it closes(?:\r\n0\r\n\r\n)?\z/,
         'a body that the connection ends');

    ($head, $body) = said("HTTP/1.1 200 OK\r\nX-Folded: a\r\n   b\r\n"
        . "Content-Length: 0\r\n\r\n");

    like($head, qr/^X-Folded: a b\r$/m, 'a folded field is one line');
};


subtest 'HEAD is run the same way' => sub {
    my ($head, $body) = said("HTTP/1.1 200 OK\r\nContent-Length: 77\r\n"
        . "X-A: 1\r\n\r\n", 'HEAD');

    like($head // '', qr/^HTTP\/1.1 200/, 'status');
    like($head // '', qr/^X-A: 1\r$/m, 'fields');
    is($body // '', '', 'no body');
};


subtest 'unix domain sockets' => sub {
    my (undef, $body) = get('/unix/a?b', 'async');
    is($body, '/there/a?b localhost', 'with a URI');

    (undef, $body) = get('/unix-plain/a?b', 'async');
    is($body, '/unix-plain/a?b localhost', 'without one');
};


subtest 'a large response' => sub {
    open my $f, '>', "$dir/large" or die;
    print $f pack 'N', $_ * 2654435761 % 4294967296 for 1 .. 5_000_000;
    close $f;

    my $sum = sub { join ' ', `cksum < $_[0]` };

    my $job = $nginx->submit(GET => '/big/large',
        headers => { Prefer => 'respond-async' });
    my $d = $nginx->wait_job($job, 30);

    is($d->{status}, 'succeeded', 'is stored');

    system("curl -s -o $dir/copy $job/result");
    is($sum->("$dir/copy"), $sum->("$dir/large"), 'whole');

    system("curl -s --limit-rate 50M -o $dir/held "
           . "http://127.0.0.1:$port/big/large");
    is($sum->("$dir/held"), $sum->("$dir/large"), 'streamed to its client');
};


subtest 'the status is that of the error_page that has led here' => sub {
    for my $target ('/status/', '/status-503/', '/named/') {
        my ($async) = get($target, 'async');
        my ($plain) = get($target, 'plain');

        is((split /\r\n/, $async)[0], (split /\r\n/, $plain)[0], $target);
    }
};


subtest 'a call of a location with proxy_pass is sent on to one' => sub {
    my %to = ('/sent-on/' => '/plain/sent', '/dead/' => '/plain/dead');

    for my $target (sort keys %to) {
        my ($head, $body) = get($target, 'async');

        is(target_of($body), $to{$target}, "$target, for a held client");

        my $job = $nginx->submit(GET => $target,
            headers => { Prefer => 'respond-async' });

        is($nginx->wait_job($job)->{status}, 'succeeded', '... and stored');
    }

    my $sum = sub { join ' ', `cksum < $_[0]` };

    system("curl -s --limit-rate 50M -o $dir/sent "
           . "http://127.0.0.1:$port/dead-big/");
    is($sum->("$dir/sent"), $sum->("$dir/large"), 'with a large response');
};


$nginx->stop;

done_testing;
