#!/usr/bin/perl

# Listeners of every kind: what the backend learns of the client, and the URLs
# that the client gets, are those of its connection.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Driver qw(certificate);
use File::Temp qw(tempdir);
use IO::Socket::IP;
use Jobs;
use JSON::PP;
use Test::More;

my $dir = tempdir(CLEANUP => 1);
my ($crt, $key) = certificate($dir, 'localhost');
my ($client_crt, $client_key) = certificate($dir, 'client');
my %port = map { $_ => Driver::free_port() } qw(tls v6 proxy realip echo);

my $ipv6 = IO::Socket::IP->new(LocalHost => '::1', Listen => 1,
                               LocalPort => $port{v6});
my $v6 = $ipv6 ? "listen [::1]:$port{v6};" : '';
close $ipv6 if $ipv6;

my @variables = qw(scheme https server_port server_addr server_name host
    remote_addr server_protocol http_host request_method request_uri
    ssl_protocol ssl_cipher ssl_server_name ssl_client_s_dn ssl_client_verify
    ssl_session_reused proxy_protocol_addr proxy_protocol_port
    proxy_protocol_server_addr proxy_protocol_server_port
    realip_remote_addr request_id http2);

my $set = join "\n", map { "proxy_set_header V-$_ \"\$$_\";" } @variables;

my $t = Jobs->new(dir => $dir, http => sub {
    my ($t) = @_;
    my $locations = <<"END";
        location /a/ {
            async on;
            $set
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }
        location /plain/ {
            $set
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }
        location /jobs/ { async_jobs; }
END

    return <<"END";
    server {
        listen 127.0.0.1:$t->{port};
        listen unix:$dir/socket;
        $v6
        server_name one;
        add_header X-Server one;
        $locations
    }

    server {
        listen 127.0.0.1:$t->{port};
        listen 127.0.0.2:$t->{port};
        server_name two;
        add_header X-Server two;
        $locations
    }

    server {
        listen $port{tls} ssl http2;
        server_name localhost;
        ssl_certificate $crt;
        ssl_certificate_key $key;
        ssl_client_certificate $client_crt;
        ssl_verify_client optional;
        if (\$scheme != https) { return 400 plain; }
        $locations
    }

    server {
        listen 127.0.0.1:$port{proxy} proxy_protocol;
        server_name proxy;
        $locations
    }

    server {
        listen 127.0.0.1:$port{realip};
        server_name realip;
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Forwarded-For;
        allow 10.0.0.1;
        deny all;
        location /jobs/ { allow all; async_jobs; }
        location /a/ {
            async on;
            $set
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }
        location /plain/ {
            $set
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }
    }
END
});


# what differs between two requests of one client

sub same
{
    my ($text) = @_;

    $text =~ s/^V-(request_uri|request_id|ssl_session_reused): .*\r\n//mg;
    return $text;
}


sub check
{
    my ($name, $base, %args) = @_;

    my $plain = $t->ask(POST => '/plain/x?y', body => 'body', %args);
    my $r = $t->ask(POST => '/a/x?y', body => 'body', %args);

    is($r->{status}, 202, "$name: accepted") or diag($r->{text});
    like($r->header('location') // '', qr{^\Q$base\E/jobs/[0-9a-f-]*/result$},
         "$name: its URL");

    my ($job) = ($r->header('operation-location') // '') =~ m{(/jobs/.*)};
    $args{headers} = [grep { /^host/i } @{$args{headers} // []}];

    my $result;

    Driver::until_true(10, sub {
        $result = $t->ask(GET => "$job/result", %args);
        return $result->{status} == 200;
    });

    is(same($result->{body}), same($plain->{body}),
       "$name: the backend sees the same");
    return $result;
}


sub value
{
    my ($r, $name) = @_;
    my ($value) = $r->{body} =~ /^V-\Q$name\E: (.*)\r$/m;
    return $value;
}


# plain, unix, IPv6

my $r = check('plain', "http://localhost:$t->{port}");
is(value($r, 'scheme'), 'http', 'plain: $scheme');
is(value($r, 'server_port'), $t->{port}, 'plain: $server_port');

$r = check('unix', 'http://somewhere', unix => "$dir/socket",
           headers => ['Host: somewhere']);
is(value($r, 'remote_addr'), 'unix:', 'unix: $remote_addr');

SKIP: {
    skip 'no IPv6', 5 unless $v6;

    my $make = IO::Socket::INET->can('new');
    no warnings 'redefine';
    local *IO::Socket::INET::new = sub {
        my ($class, %a) = @_;
        return IO::Socket::IP->new(PeerHost => '::1', PeerPort => $port{v6})
            if ($a{PeerAddr} // '') eq '::1';
        return $make->($class, %a);
    };

    $r = check('IPv6', "http://[::1]:$port{v6}", addr => '::1',
               headers => ["Host: [::1]:$port{v6}"]);
    is(value($r, 'remote_addr'), '::1', 'IPv6: $remote_addr');
    is(value($r, 'server_addr'), '::1', 'IPv6: $server_addr');
}

# several servers of one port

for my $name ('one', 'two') {
    $r = check("server $name", "http://$name", headers => ["Host: $name"]);
    is($r->header('x-server'), $name, "server $name: its own filters, once");
    is(value($r, 'server_name'), $name, "server $name: its name");
}

$r = check('another address', "http://two", addr => '127.0.0.2',
           headers => ['Host: two']);
is(value($r, 'server_addr'), '127.0.0.2', 'another address: $server_addr');

{
    my $a = $t->ask(GET => '/a/', headers => ['Host: one']);
    my ($job) = $a->header('operation-location') =~ m{(/jobs/.*)};

    is($t->ask(GET => $job, headers => ['Host: two'])->{status}, 404,
       'a job is of one server');
    is($t->ask(GET => $job, headers => ['Host: other'])->{status}, 200,
       'by whatever name that is reached');
}

# PROXY protocol

{
    my $before = "PROXY TCP4 192.0.2.1 192.0.2.2 1111 2222\r\n";

    $r = check('PROXY protocol', 'http://proxy', port => $port{proxy},
               before => $before, headers => ['Host: proxy']);
    is(value($r, 'proxy_protocol_addr'), '192.0.2.1',
       'PROXY protocol: $proxy_protocol_addr');
    is(value($r, 'proxy_protocol_server_port'), '2222',
       'PROXY protocol: $proxy_protocol_server_port');
}

# realip: access is checked once, for the client

{
    my @from = (port => $port{realip});

    $r = check('realip', 'http://realip', @from,
               headers => ['Host: realip', 'X-Forwarded-For: 10.0.0.1']);
    is(value($r, 'remote_addr'), '10.0.0.1', 'realip: $remote_addr');
    is(value($r, 'realip_remote_addr'), '127.0.0.1',
       'realip: $realip_remote_addr');

    is($t->ask(GET => '/a/', @from,
               headers => ['X-Forwarded-For: 10.0.0.2'])->{status}, 403,
       'realip: others are denied');
}

# TLS, HTTP/2

sub curl
{
    my (@args) = @_;

    open my $f, '-|', 'curl', '-sk', '--max-time', '10', '-i', @args
        or return;
    local $/;
    my $text = <$f> // '';
    close $f;

    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my ($status) = $head =~ m{^HTTP/\S+ (\d+)};
    my %h = map { /^([^:]*): ?(.*)/ ? (lc $1, $2) : () } split /\r\n/, $head;

    return { status => $status, head => $head, headers => \%h,
             body => $body };
}

my $tls = "https://localhost:$port{tls}";

for my $case (
    ['TLS', '--http1.1'], ['HTTP/2', '--http2'],
    ['a client certificate', '--http1.1', '--cert', $client_crt, '--key',
     $client_key],
) {
    my ($name, @args) = @$case;

    push @args, '--resolve', "localhost:$port{tls}:127.0.0.1";

    my $plain = curl(@args, '-d', 'body', "$tls/plain/x?y");
    my $a = curl(@args, '-d', 'body', "$tls/a/x?y");

    is($a->{status}, 202, "$name: accepted");
    like($a->{headers}{location}, qr{^\Q$tls\E/jobs/[0-9a-f-]*/result$},
         "$name: its URL");

    my $result = curl(@args, "$a->{headers}{location}?wait=9");

    is($result->{status}, 200, "$name: the result");
    is(same($result->{body}), same($plain->{body}),
       "$name: the backend sees the same");
    is(value($result, 'scheme'), 'https', "$name: \$scheme");
    like(value($result, 'ssl_protocol'), qr/^TLS/, "$name: \$ssl_protocol");
    is(value($result, 'ssl_server_name'), 'localhost',
       "$name: \$ssl_server_name");
    is(value($result, 'ssl_client_s_dn'), 'CN=client',
       "$name: \$ssl_client_s_dn") if $name =~ /certificate/;
    is(value($result, 'http2'), 'h2', "$name: \$http2") if $name =~ /2$/;
}

for my $version ('--http1.1', '--http2') {
    my @args = ($version, '--resolve', "localhost:$port{tls}:127.0.0.1");

    my $r = curl(@args, '-H', 'Prefer: wait=9', "$tls/a/?n=300000");
    is($r->{status}, 200, "$version: held");
    is(length $r->{body}, 300000, "$version: to the end");

    $r = curl(@args, '-L', '-H', 'Prefer: wait=0', "$tls/a/?n=300000");
    like($r->{head}, qr{^HTTP/\S+ 303}, "$version: by redirects");
    is(length(($r->{body} =~ /(x*)$/)[0]), 300000, "$version: to the result");
}

$t->stop;

done_testing;
