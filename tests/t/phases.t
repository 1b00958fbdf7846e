#!/usr/bin/perl

# What runs before a job exists, what runs in the call, and how often.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;

my $t = Jobs->new(http => sub {
    my ($t) = @_;
    my $url = "http://127.0.0.1:$t->{backend}";

    open my $f, '>', "$t->{dir}/users" or die;
    print $f "alice:{PLAIN}secret\n";
    close $f;

    mkdir "$t->{dir}/files";
    open $f, '>', "$t->{dir}/files/page.html" or die;
    print $f '<p>one</p>';
    close $f;
    chmod 0644, "$t->{dir}/users", "$t->{dir}/files/page.html";

    return <<"END";
    limit_req_zone \$arg_k zone=rate:1m rate=1r/m;
    limit_conn_zone \$arg_k zone=connections:1m;
    upstream kept { server 127.0.0.1:$t->{backend}; keepalive 4; }

    server {
        listen 127.0.0.1:$t->{port};
        async on;
        root $t->{dir}/files;

        location /jobs/ { async_jobs; }
        location /b/ { async off; proxy_pass $url/; }

        location /basic/ {
            auth_basic realm;
            auth_basic_user_file $t->{dir}/users;
            proxy_pass $url/;
        }

        location /request/ {
            auth_request /auth;
            auth_request_set \$user \$upstream_http_x_user;
            proxy_set_header X-User \$user;
            proxy_pass $url/;
        }
        location = /auth {
            internal;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass $url/auth?h=X-User:alice&s=\$http_x_auth;
        }

        location /rate/ { limit_req zone=rate; proxy_pass $url/; }
        location /connections/ {
            limit_conn connections 1;
            proxy_pass $url/;
        }
        location /any/ {
            satisfy any;
            deny all;
            auth_basic realm;
            auth_basic_user_file $t->{dir}/users;
            proxy_pass $url/;
        }
        location /denied/ { deny all; proxy_pass $url/; }

        location /accel/ { proxy_pass $url/; }
        location /secret/ { deny all; root $t->{dir}; }
        location /inside/ { internal; async off; alias $t->{dir}/files/; }
        location /basic-inside/ {
            auth_basic realm;
            auth_basic_user_file $t->{dir}/users;
            alias $t->{dir}/files/;
        }

        location /page/ { error_page 404 /secret/x; proxy_intercept_errors on;
                          proxy_pass $url/; }

        location /slow/ { proxy_read_timeout 100ms; proxy_pass $url/; }
        location /slow-plain/ { async off; proxy_read_timeout 100ms;
                                proxy_pass $url/; }
        location /send/ { proxy_read_timeout 100ms; proxy_send_timeout 100ms;
                          async_timeout 300ms; proxy_pass $url/; }

        location /filters/ {
            alias $t->{dir}/files/;
            sub_filter one oneone;
            sub_filter_once off;
            add_header X-Added 1;
            gzip on;
            gzip_min_length 1;
        }
        location /ssi/ { ssi on; ssi_types text/plain; proxy_pass $url/; }

        location /try/ { try_files /none /page.html =404; }
        location /try-named/ { try_files /none \@named; }
        location \@named { proxy_pass $url; }
        location /index/ { rewrite ^/index/(.*) /b2/\$1 last; }
        location /b2/ { proxy_pass $url/; }
        location /break/ { rewrite ^/break/(.*) /new/\$1 break; proxy_pass $url; }
        location ~ ^/regex/(?<rest>.*) { proxy_pass $url/\$rest\$is_args\$args; }
        location /set/ { set \$x "\$arg_v"; proxy_set_header X-Set \$x;
                         proxy_pass $url/; }
        location /if/ { if (\$arg_v = a) { proxy_pass $url; } proxy_pass $url; }
        location /kept/ { proxy_http_version 1.1; proxy_set_header Connection "";
                          proxy_pass http://kept/; }
        location /error-page/ { error_page 403 = \@named; deny all; }

        location /primary/ {
            proxy_intercept_errors on;
            error_page 500 = \@second;
            proxy_pass $url/;
        }
        location \@second { proxy_pass $url; }
        location /once/ {
            async off;
            proxy_intercept_errors on;
            error_page 500 = \@second;
            proxy_pass $url/;
        }
        location /mirror/ { mirror /copy; proxy_pass $url/; }
        location /copy { internal; proxy_pass $url/copy; }
    }
END
});

my $auth = 'Authorization: Basic YWxpY2U6c2VjcmV0';


sub result
{
    my (@args) = @_;
    my $job = $t->done(@args);
    return $t->ask(GET => "$job/result");
}


# before a job exists

is($t->ask(GET => '/denied/')->{status}, 403, 'deny');
is($t->ask(GET => '/basic/')->{status}, 401, 'auth_basic');
is($t->ask(GET => '/any/')->{status}, 401, 'satisfy any');
is($t->ask(GET => '/request/?b=no', headers => ['X-Auth: 403'])->{status}, 403,
   'auth_request');
is($t->requests('GET /?b=no'), 0, 'refused: nothing is sent');

is(result(GET => '/basic/?b=in', headers => [$auth])->{body}, 'in',
   'auth_basic: let in');
is(result(GET => '/any/?b=in', headers => [$auth])->{body}, 'in',
   'satisfy any: let in');

{
    my $before = $t->requests('GET /auth');
    my $r = result(GET => '/request/', headers => ['X-Auth: 200']);

    like($r->{body}, qr/^X-User: alice\r$/m, 'auth_request_set is kept');
    is($t->requests('GET /auth') - $before, 1, 'auth_request runs once');
}

is($t->ask(GET => '/rate/?k=a&b=x')->{status}, 202, 'limit_req');
is($t->ask(GET => '/rate/?k=a&b=x')->{status}, 503,
   'limit_req: the second is refused');
is(result(GET => '/rate/?k=b&b=x')->{status}, 200,
   'limit_req: the call does not count again');

{
    my $job = $t->job(GET => '/connections/?k=a&hold=lc');
    $t->until($job, 'running');
    is($t->ask(GET => '/connections/?k=a&b=x')->{status}, 202,
       'limit_conn guards submissions, not calls');
    $t->release('lc');
    is($t->ended($job)->{status}, 'succeeded', 'limit_conn: runs');
}

# where a call is sent on to

for my $case (
    ['/secret/x', 403], ['/basic-inside/page.html', 401],
    ['/inside/page.html', 200],
) {
    my ($to, $status) = @$case;
    my $r = result(GET => '/accel/?b=x&h=X-Accel-Redirect:' . $to);

    is($r->{status}, $status, "X-Accel-Redirect to $to: $status");
}

is($t->ask(GET => '/inside/page.html')->{status}, 404,
   'what is internal stays so');
is(result(GET => '/page/?s=404&b=x')->{status}, 403,
   'error_page into a denied location');

{
    my $r = result(GET => '/page/?s=404&b=x',
                   headers => ['Async-Id: 1', 'X-Async: 1', $auth]);
    is($r->{status}, 403, 'whatever the client sends');
}

# nothing runs twice

{
    my $r = $t->ask(POST => '/once/?s=500&b=tw', body => 'x');
    is($r->{status}, 500, 'error_page of a failed upstream: no job');

    my $n = $t->requests('POST /?s=500&b=tw')
            + $t->requests('POST /once/?s=500&b=tw');
    is($n, 2, 'each upstream is called once');

    $r = result(POST => '/primary/?s=500&b=tp', body => 'x');
    is($r->{status}, 500, 'in a call, too');
    is($t->requests('POST /?s=500&b=tp'), 1, 'the first once');
    is($t->requests('POST /primary/?s=500&b=tp'), 1, 'the second once');
}

{
    my $r = result(GET => '/filters/page.html');
    is($r->{body}, '<p>oneone</p>', 'sub_filter runs once');
    is($r->header('x-added'), '1', 'add_header, too');

    $r = result(GET => '/filters/page.html',
                headers => ['Accept-Encoding: gzip']);
    is($r->header('content-encoding'), 'gzip', 'gzip');

    $r = $t->ask(GET => '/filters/page.html', headers => ['Prefer: wait=9']);
    is($r->{body}, '<p>oneone</p>', 'held: sub_filter runs once');
    is($r->header('x-added'), '1', 'held: add_header, too');

    my $ssi = '<!--# echo var="uri" -->';
    $r = result(GET => '/ssi/?b=' . Jobs::escape($ssi));
    is($r->{body}, '/ssi/', 'SSI runs');

    $ssi = '<!--# echo var="arg_x" encoding="none" -->';
    $r = $t->ask(GET => '/ssi/?b=' . Jobs::escape($ssi)
                 . '&x=<!--%23%20echo%20var="uri"%20-->',
                 headers => ['Prefer: wait=9']);
    is($r->{body}, '<!--%23%20echo%20var="uri"%20-->', 'SSI runs once');
}

{
    result(POST => '/mirror/?b=mi', body => 'x');
    is($t->requests('POST /copy'), 1, 'mirror runs once');
}

# timeouts of the upstream

{
    is($t->ask(GET => '/slow-plain/?hold=sl')->{status}, 504,
       'plain: proxy_read_timeout');
    my $job = $t->job(GET => '/slow/?hold=sl&b=late');
    my $held = $t->begin(GET => '/slow/?hold=sl&b=late',
                         headers => ['Prefer: wait=9']);

    ok($held->held(0.3), 'in a call it is raised');
    $t->release('sl');
    is($held->finish->{body}, 'late', 'held: to async_timeout');
    is($t->ended($job)->{status}, 'succeeded', 'not held: too');

    my $r = result(GET => '/send/?hold=never');
    is($r->{status}, 504, 'to async_timeout, no longer');
    is($r->json->{code}, 'timeout', 'which ends the job');
}

# locations of all kinds

for my $case (
    ['try_files', '/try/', qr/^<p>one<\/p>$/],
    ['try_files to a named location', '/try-named/?a=b',
     qr{^GET /try-named/\?a=b }],
    ['rewrite last', '/index/x?a=b', qr{^GET /x\?a=b }],
    ['rewrite break', '/break/x?a=b', qr{^GET /new/x\?a=b }],
    ['a regex with captures', '/regex/a/b?c=d', qr{^GET /a/b\?c=d }],
    ['set', '/set/?v=w', qr{^X-Set: w\r$}m],
    ['if', '/if/?v=a', qr{^GET /if/\?v=a }],
    ['keepalive', '/kept/?v=a', qr{^GET /\?v=a HTTP/1\.1}],
    ['error_page before a content handler', '/error-page/?v=a',
     qr{^GET /error-page/\?v=a }],
    ['a URI as it came', '/try-named/a%2Fb//c/../d?e=%20',
     qr{^GET /try-named/a%2Fb//c/../d\?e=%20 }],
) {
    my ($name, $uri, $like) = @$case;

    like(result(GET => $uri)->{body}, $like, $name);
    like($t->ask(GET => $uri, headers => ['Prefer: wait=9'])->{body}, $like,
         "$name: held");
}

$t->stop;

done_testing;
