#!/usr/bin/perl

# Whatever handler a location has and whichever way the request comes: a held
# answer is byte for byte that of the same location with "async off", and so
# is the stored one, less what the contract says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Driver qw(backend certificate free_port);
use Fidelity qw(exchange module);
use IO::Socket::INET;
use Test::More;

# says what the query asks for, as hex digits

my $say = backend(sub {
    my ($s) = @_;
    my ($head) = Driver::read_request($s);
    my ($hex) = $head =~ /[?&]say=([0-9a-f]+)/;
    print $s pack 'H*', $hex // '';
});

# gateways: they answer with what they were sent, in the order it came

my $scgi = backend(sub {
    my ($s) = @_;
    my ($len, $all) = ('', '');

    sysread $s, my $c, 1 or return;
    while ($c ne ':') { $len .= $c; sysread $s, $c, 1 or return }
    read_all($s, \$all, $len + 1);

    my $vars = substr $all, 0, $len;
    my ($n) = $vars =~ /^CONTENT_LENGTH\0(\d*)\0/;
    read_all($s, \my $body, $n || 0);
    cgi($s, $vars, $body);
});

my $uwsgi = backend(sub {
    my ($s) = @_;
    read_all($s, \my $h, 4) or return;
    my (undef, $len) = unpack 'Cv', $h;
    read_all($s, \my $vars, $len);
    my ($n) = $vars =~ /CONTENT_LENGTH..(\d*)/s;
    read_all($s, \my $body, $n || 0);
    cgi($s, $vars, $body);
});

my $fcgi = backend(sub {
    my ($s) = @_;
    my ($vars, $body) = ('', '');

    while (read_all($s, \my $h, 8)) {
        my (undef, $type, $id, $len, $pad) = unpack 'CCnnC', $h;
        read_all($s, \my $data, $len + $pad);
        $data = substr $data, 0, $len;
        $vars .= $data if $type == 4;
        $body .= $data if $type == 5;
        last if $type == 5 && $len == 0;
    }

    my $text = reply($vars, $body);
    print $s pack('CCnnCC', 1, 6, 1, length $text, 0, 0), $text,
        pack('CCnnCC', 1, 6, 1, 0, 0, 0),
        pack('CCnnCC', 1, 3, 1, 8, 0, 0), pack('NCx3', 0, 0);
});

sub read_all
{
    my ($s, $to, $n) = @_;

    $$to = '';
    while (length $$to < $n) {
        sysread($s, $$to, $n - length $$to, length $$to) or return;
    }
    return 1;
}

sub reply
{
    my ($vars, $body) = @_;

    $vars =~ s/hold|keep/none/g;
    return "Status: 200 OK\r\nX-Gateway: yes\r\nContent-Type: text/plain\r\n"
        . "\r\n" . unpack('H*', $vars) . "\n$body";
}

sub cgi { my ($s, @got) = @_; print $s reply(@got) }

my $h2 = free_port();
my $tls = free_port();
my $inner = free_port();
my $lua = join '', map { $_ // '' } module('ndk_http_module'),
    module('ngx_http_lua_module');
my $js = module('ngx_http_js_module') // '';
$lua = '' unless module('ndk_http_module') && module('ngx_http_lua_module');

my $f = Fidelity->new(
    main => "$lua$js",
    listen => sub {
        my ($self) = @_;
        my ($crt, $key) = certificate($self->{dir}, 'localhost');
        return <<"END";
        listen unix:$self->{dir}/socket;
        listen 127.0.0.1:$h2 http2;
        listen 127.0.0.1:$tls ssl http2;
        ssl_certificate $crt;
        ssl_certificate_key $key;
END
    },
    http => sub {
        my ($self) = @_;
        my $d = $self->{dir};

        mkdir "$d/files";
        mkdir "$d/files/index";
        write_file("$d/files/$_->[0]", $_->[1]) for
            ['a.txt', '0123456789' x 500], ['empty', ''],
            ['a.html', '<html>one two</html>'],
            ['index/index.html', 'an index'],
            ['before', 'before '], ['after', ' after'],
            ['../params', join '', map {
                my $cgi = $_;
                map { "${cgi}_param $_;\n" } 'REQUEST_METHOD $request_method',
                    'QUERY_STRING $query_string', 'REQUEST_URI $request_uri',
                    'CONTENT_TYPE $content_type', 'DOCUMENT_URI $uri',
                    'CONTENT_LENGTH $content_length', 'HTTPS $https',
                    'SERVER_PROTOCOL $server_protocol',
                    'REMOTE_ADDR $remote_addr', 'SERVER_PORT $server_port'
            } qw(fastcgi scgi uwsgi) ],
            ['ssi.html', 'a <!--#include virtual="/static/a.html" -->'
                         . '<!--#echo var="request_uri" --> z'];

        write_file("$d/own.js", 'export default { answer };'
            . 'function answer(r) { r.headersOut["X-Js"] = r.method;'
            . ' r.return(200, r.uri + " " + r.requestText + "\n") }')
            if $js;

        return <<"END" . ($js ? "js_path $d/; js_import own.js;" : '');
    upstream kept { server 127.0.0.1:$inner; keepalive 4; }
    proxy_cache_path $d/cache keys_zone=cache:1m;
    types { text/html html; text/plain txt; }

    server {
        listen 127.0.0.1:$inner;
        listen unix:$d/grpc http2;
        location / {
            add_header X-Got "\$request_method \$request_uri \$http_x_a";
            return 200 "inner \$request_method \$request_uri\\n";
        }
        location /status/204 { return 204; }
        location /status/301 { return 301 /there; }
        location /status/404 { return 404 "not here"; }
        location /status/500 { return 500; }
        location /text {
            alias $d/files/a.txt;
            add_trailer X-Trailer none;
        }
        location /accel {
            add_header X-Accel-Redirect \$arg_to;
            add_header X-Kept kept;
            add_header Set-Cookie a=b;
            return 200;
        }
        location /auth {
            add_header X-User "user of \$http_x_user";
            return 204;
        }
        location /page { return 200 "<html>one two <!--#echo var='uri' -->"; }
    }
END
    },
    locations => sub {
        my ($self) = @_;
        my $d = $self->{dir};

        return <<"END" . ($js ? 'location /js/ { js_content own.answer; }' : '')
        root $d;
        location /echo/ { proxy_pass http://127.0.0.1:$self->{back}; }
        location /echo-unbuffered/ {
            proxy_buffering off;
            proxy_pass http://127.0.0.1:$self->{back};
        }
        location /own/ {
            proxy_set_header X-All "\$scheme \$host \$remote_addr \$uri \$args";
            proxy_set_header X-Server "\$server_addr \$server_port \$https";
            proxy_set_header X-Tls "\$ssl_protocol \$ssl_cipher";
            proxy_set_header X-Protocol "\$server_protocol";
            proxy_set_header X-Line "\$request \$request_method \$is_args";
            proxy_pass http://127.0.0.1:$self->{back};
        }
        location ~ ^/captured/(?<name>[^/]+)/(.*) {
            proxy_pass http://127.0.0.1:$self->{back}/\$2/\$name?\$args;
        }
        location /rewritten/ {
            set \$a "set \$arg_a";
            rewrite ^/rewritten/(.*) /new/\$1?x=y break;
            proxy_set_header X-A \$a;
            proxy_pass http://127.0.0.1:$self->{back};
        }
        location /say/ { proxy_pass http://127.0.0.1:$say; }
        location /say-1.1/ {
            proxy_http_version 1.1;
            proxy_pass http://127.0.0.1:$say;
        }
        location /say-unbuffered/ {
            proxy_buffering off;
            proxy_pass http://127.0.0.1:$say;
        }
        location /inner/ {
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://kept/;
        }
        location /scgi/ { include $d/params; scgi_pass 127.0.0.1:$scgi; }
        location /uwsgi/ { include $d/params; uwsgi_pass 127.0.0.1:$uwsgi; }
        location /fcgi/ { include $d/params; fastcgi_pass 127.0.0.1:$fcgi; }
        location /grpc/ { grpc_pass grpc://unix:$d/grpc; }
        location /static/ { alias $d/files/; }
        location /files/ { expires 1h; add_header X-Added "yes \$uri"; }
        location /autoindex/ { alias $d/files/index/; autoindex on;
                               index none; }
        location /gzip/ {
            gzip on; gzip_min_length 0; gzip_types *; gzip_vary on;
            gzip_proxied any;
            proxy_pass http://kept/;
        }
        location /sub/ {
            sub_filter one ONE; sub_filter_once off;
            add_before_body /files/before; add_after_body /files/after;
            proxy_pass http://kept/;
        }
        location /ssi/ { ssi on; alias $d/files/; }
        location /charset/ {
            charset utf-8; source_charset utf-8;
            alias $d/files/;
        }
        location /trailer/ {
            add_trailer X-Trailer "the \$uri";
            proxy_http_version 1.1;
            proxy_pass http://127.0.0.1:$say;
        }
        location /cache/ {
            proxy_cache cache; proxy_cache_valid any 1h;
            add_header X-Cache \$upstream_cache_status;
            proxy_pass http://kept/;
        }
        location /accel/ { proxy_pass http://kept/accel; }
        location /hidden/ { internal; alias $d/files/; add_header X-H yes; }
        location /named/ { try_files /none \@named; }
        location \@named {
            proxy_set_header X-Named "\$uri \$request_uri";
            proxy_pass http://127.0.0.1:$self->{back};
        }
        location /tried/ { try_files \$uri /files/a.txt; }
        location /page/ {
            error_page 404 /files/a.html;
            proxy_intercept_errors on;
            proxy_pass http://kept/status/;
        }
        location /page-as/ {
            error_page 404 500 =203 \@named;
            proxy_intercept_errors on;
            proxy_pass http://kept/status/;
        }
        location /if/ {
            proxy_pass http://kept/;
            if (\$arg_a) { add_header X-If \$arg_a; }
            if (\$arg_b) { proxy_pass http://127.0.0.1:$self->{back}; }
        }
        location /excepted/ {
            limit_except GET { proxy_pass http://127.0.0.1:$self->{back}; }
            proxy_pass http://kept/;
        }
        location /auth/ {
            auth_request /ask;
            auth_request_set \$user \$upstream_http_x_user;
            proxy_set_header X-User \$user;
            proxy_pass http://127.0.0.1:$self->{back};
        }
        location = /ask {
            internal;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://kept/auth;
        }
        location /slice/ {
            slice 1k;
            proxy_set_header Range \$slice_range;
            proxy_pass http://kept/;
        }
        location = /empty.gif { empty_gif; }
        location /dead/ { proxy_pass http://127.0.0.1:1; }
        location /limit/ { client_max_body_size 10; }
END
        . ($lua ? <<'END' : '');
        location /lua/ {
            access_by_lua_block { ngx.header["X-Before"] = "kept" }
            content_by_lua_block {
                ngx.req.read_body()
                ngx.header["X-Lua"] = ngx.req.get_method()
                ngx.say(ngx.var.request, ngx.req.http_version(),
                        ngx.req.get_headers()["X-A"])
                ngx.say(ngx.var.uri, " ", ngx.req.get_body_data() or "none")
            }
        }
        location /lua-before/ {
            access_by_lua_block {
                ngx.header["X-Before"] = "kept"
                ngx.header["Cache-Control"] = "private"
            }
            alias files/;
        }
        location /lua-sleep/ {
            content_by_lua_block { ngx.sleep(0.05) ngx.say("slept") }
        }
END
    },
);

sub write_file
{
    my ($file, $text) = @_;
    open my $f, '>', $file or die "$file: $!";
    print $f $text;
}

sub said { return unpack 'H*', join '', map { ref $_ ? @$_ : "$_\r\n" } @_ }


subtest 'requests' => sub {
    my @more = ('X-A: 1', 'X-B: two', 'X-A: 3', 'Cookie: a=b', 'Cookie: c=d',
                'x-lower: and UPPER', 'X-Empty:', 'Accept: a/b;q=0.5',
                'X-Forwarded-For: 192.0.2.1', 'Idempotency: none');

    for my $path (qw(/echo/ /echo-unbuffered/ /own/ /captured/a/b/c
                     /rewritten/a /named/x /if/x /excepted/x /auth/x))
    {
        for my $method (qw(GET POST PUT DELETE PATCH PROPFIND HEAD)) {
            my $has_body = $method =~ /POST|PUT|PATCH|PROPFIND/;

            $f->same("$method $path", $method, "$path?a=1&b=%20%2F",
                     headers => [ @more ],
                     $has_body ? (body => 'some body') : ());
        }
    }

    $f->same('a URI as it was written', GET => '/echo/%41/../b//c/./%2e?a#b');
    $f->same('a chunked request', POST => '/echo/', body => 'x' x 3000,
             chunked => 1000);
    $f->same('HTTP/1.0', GET => '/own/', version => '1.0');
    $f->same('a URI with a host', GET => 'http://other.example/own/x');
    $f->same('Range is for the backend', GET => '/echo/', held_only => 1,
             headers => ['Range: bytes=0-3', 'If-None-Match: "a"']);
    $f->same('a Prefer that is not ours', GET => '/echo/',
             headers => ['Prefer: return=minimal']);
};


subtest 'gateways' => sub {
    for my $path (qw(/scgi/ /uwsgi/ /fcgi/)) {
        $f->same("GET $path", GET => "$path?a=b", headers => ['X-A: 1']);
        $f->same("POST $path", POST => $path, body => 'posted' x 1000);
    }

    $f->same('GET /grpc/', GET => '/grpc/x?y');
    $f->same('POST /grpc/', POST => '/grpc/x', body => 'posted');
};


subtest 'handlers of this nginx' => sub {
    my $gone = 'Sat, 01 Jan 2000 00:00:00 GMT';

    for my $path (qw(/static/a.txt /static/empty /static/none /static/index
                     /static/index/ /files/a.txt /autoindex/ /ssi/ssi.html
                     /charset/a.html /tried/none /empty.gif /dead/ /limit/))
    {
        $f->same("GET $path", GET => $path, headers => ['Accept: */*']);
        $f->same("POST $path", POST => $path, body => 'body');
        $f->same("HEAD $path", HEAD => $path);
    }

    for (['Range: bytes=1-4'], ['Range: bytes=1-4,7-9'], ['Range: bytes=-3'],
         ['Range: bytes=99999-'], ["If-Modified-Since: $gone"],
         ['If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT'],
         ['If-None-Match: *'], ['If-Match: "a"'],
         ['Range: bytes=1-4', 'If-Range: "a"'])
    {
        my $name = join ', ', @$_;
        my $plain = Fidelity::normal(exchange($f->{port}, $f->text(
            'none', GET => '/static/a.txt', headers => $_)));
        my $held = Fidelity::normal(exchange($f->{port}, $f->text(
            'hold', GET => '/static/a.txt', headers => $_)));

        # boundaries of parts are counted
        s/\b\d{20}\b/boundary/g for $plain, $held;
        is($held, $plain, $name);
    }
};


subtest 'responses' => sub {
    my %responses = (
        'no body' => ['HTTP/1.1 200 OK', 'Content-Length: 0', ''],
        '204' => ['HTTP/1.1 204 No Content', 'X-A: 1', ''],
        '304' => ['HTTP/1.1 304 Not Modified', 'ETag: "a"', ''],
        'an error' => ['HTTP/1.1 500 Broken', 'Content-Length: 3', '', ['abc']],
        'a reason' => ['HTTP/1.1 299 So It Is', '', ['abc']],
        'repeated headers' => ['HTTP/1.1 200 OK', 'X-A: 1', 'X-A: 2',
            'Set-Cookie: a=b', 'Set-Cookie: c=d', 'Vary: X', 'Vary: Y',
            'Link: <a>', 'Link: <b>', 'Content-Length: 1', '', ['x']],
        'without a length' => ['HTTP/1.1 200 OK', '', ['abc' x 1000]],
        'chunked' => ['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', '',
            '3', 'abc', '4', 'defg', '0', ''],
        'a redirect' => ['HTTP/1.1 302 Found', 'Location: /there?x=y',
            'Content-Length: 0', ''],
        'its own date' => ['HTTP/1.1 200 OK', 'Content-Length: 1',
            'Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT', 'ETag: "own"',
            'Cache-Control: max-age=5', 'Expires: 0', 'Pragma: x',
            'Content-Language: de', 'Content-Encoding: x', '', ['x']],
        'nothing' => [],
        'a broken header' => ['nonsense'],
        'cut off' => ['HTTP/1.1 200 OK', 'Content-Length: 9', '', ['abc']],
    );

    for my $name (sort keys %responses) {
        my $hex = said(@{ $responses{$name} });

        for my $path ('/say/', '/say-1.1/', '/say-unbuffered/', '/trailer/') {
            for my $method (qw(GET POST HEAD)) {
                $f->same("$name, $method $path", $method,
                    "$path?say=$hex",
                    held_only => $name =~ /cut off|broken/ || $name eq 'chunked'
                                 && $path eq '/say/',
                    $method eq 'POST' ? (body => '') : ());
            }

            $f->same("$name, HTTP/1.0 $path", GET => "$path?say=$hex",
                     version => '1.0', held_only => 1);
        }
    }
};


subtest 'filters and redirections' => sub {
    for my $path ('/inner/a?b', '/inner/text', '/inner/status/204',
        '/inner/status/301', '/inner/status/404', '/gzip/text', '/sub/page',
        '/page/404', '/page/500', '/page-as/404', '/page-as/500',
        '/accel/?to=/hidden/a.txt', '/accel/?to=/files/none',
        '/accel/?to=@named', '/accel/?to=/inner/x', '/hidden/a.txt',
        '/if/x', '/if/x?a=1', '/if/x?b=1', '/if/x?a=1&b=1', '/slice/text')
    {
        # refused before there is a job
        my $only = $path =~ /^.hidden/;

        $f->same("GET $path", GET => $path, held_only => $only,
                 headers => ['Accept-Encoding: gzip', 'X-A: a']);
        $f->same("POST $path", POST => $path, body => 'body',
                 held_only => $only);
        $f->same("HEAD $path", HEAD => $path);
    }

    # the first one fills the cache
    exchange($f->{port}, $f->text('none', GET => '/cache/text'));
    $f->same('from the cache', GET => '/cache/text');
};


subtest 'connections' => sub {
    my @first = (open => 1);

    for my $uri ('/static/a.txt', '/inner/a', '/static/none',
                 '/inner/status/204', '/say/?say='
                 . said('HTTP/1.1 200 OK', '', ['abc']))
    {
        for my $version ('1.0', '1.1') {
            my @answers = map {
                Fidelity::normal(exchange($f->{port},
                    $f->text($_, GET => $uri, open => 1, version => $version,
                             headers => ['Connection: keep-alive'])
                    . $f->text($_, POST => $uri, open => 1, body => 'abc',
                               version => $version,
                               headers => ['Connection: keep-alive'])
                    . $f->text($_, GET => $uri, version => $version)))
            } qw(none hold);

            is($answers[1], $answers[0], "$uri in a pipeline, $version");
        }
    }
};


subtest 'listeners' => sub {
    $f->same('a unix socket', GET => '/own/x?y', to => "$f->{dir}/socket",
             held_only => 1);

    for (['HTTP/2', "--http2-prior-knowledge http://127.0.0.1:$h2"],
         ['TLS', "--http1.1 https://localhost:$tls"],
         ['TLS with HTTP/2', "--http2 https://localhost:$tls"])
    {
        my ($name, $url) = @$_;

        for my $path ('/own/x?y', '/inner/text', '/inner/status/204',
                      '/inner/status/404', '/gzip/text', '/static/empty')
        {
            for my $more ('', '-d body', '-I', '-H "Accept-Encoding: gzip"') {
                # HTTP/2 may reset a stream whose body nobody reads
                next if $path =~ /static/ && $more =~ /-d/;

                my @answers = map {
                    my $text = `curl -sk -i --max-time 30 \\
                        --noproxy '*' --resolve localhost:$tls:127.0.0.1 \\
                        -H 'X-Mode: $_' $more $url$path`;
                    # HTTP/2 has no line that says X-Mode to the backend
                    # earlier or later than the others
                    $text =~ s/^date: .*?\r\n//img;
                    Fidelity::normal($text);
                } map { $_ } qw(none hold);

                s/^(https?:\S+)//mg for @answers;
                is($answers[1], $answers[0], "$name: $path $more");
                isnt($answers[1], '', 'an answer');
            }
        }
    }
} if `curl --version` =~ /HTTP2/;


SKIP: {
    skip 'no lua module', 1 unless $lua;

    subtest 'lua' => sub {
        $f->same("$_ lua", $_ => '/lua/x?y', headers => ['X-A: 1'],
                 $_ eq 'POST' ? (body => 'posted') : ())
            for qw(GET POST HEAD);
        $f->same('headers set before', GET => '/lua-before/a.txt');
        $f->same('a handler that sleeps', GET => '/lua-sleep/');
    };
}


SKIP: {
    skip 'no njs module', 1 unless $js;

    subtest 'njs' => sub {
        $f->same("$_ njs", $_ => '/js/x?y',
                 $_ eq 'POST' ? (body => 'posted') : ())
            for qw(GET POST HEAD);
    };
}


$f->{nginx}->stop;

done_testing();
