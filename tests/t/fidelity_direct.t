#!/usr/bin/perl

# Direct calls: whichever way a request comes and whatever bodies there are, a
# held answer of async_pass is byte for byte that of "async off; proxy_pass" to
# the same backend, and so is the stored one, less what the contract says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(sha256_hex);
use Driver qw(backend certificate free_port);
use Fidelity qw(parse);
use IO::Socket::IP;
use Test::More;

my @sizes = (0, 1, 65535, 65536, 65537);
my $block = join '', map { sprintf '%07d|', $_ } 1 .. 8193;

# tells the request in header fields, and answers with as many bytes as it asks
# for; the digest says whether a body came as it was sent

my $back = backend(sub {
    my ($s) = @_;
    my ($head, $got) = Driver::read_request($s);
    my ($line, @fields) = split /\r\n/, $head;
    my ($size, $chunked) = $line =~ m{/(\d+)(\.chunked)?\?};
    my $body = substr $block, 0, $size;

    # fields of the connection, and those that tell the two apart
    my $told = join '|', sort grep { !/^(?:host|connection|x-mode):/i }
        @fields;

    # HTTP/2 of nginx sends a Location first

    print $s "HTTP/1.1 207 So It Is\r\n",
        "Location: http://other.example/there\r\n",
        "X-Line: $line\r\nX-Fields: $told\r\n",
        'X-Body: ', length $got, ' ', sha256_hex($got), "\r\n",
        "X-A: 1\r\nx-a: 2\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n",
        "Content-Type: a/b; c=d\r\nETag: \"e\"\r\nVary: X\r\nLink: <l>\r\n",
        "Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT\r\n",
        "Cache-Control: max-age=1\r\nContent-Encoding: x\r\n",
        "Connection: close\r\n",
        $chunked ? "Transfer-Encoding: chunked\r\n\r\n"
                 : "Content-Length: $size\r\n\r\n";

    if ($chunked) {
        print $s map { sprintf("%x\r\n", length $_) . "$_\r\n" }
            unpack '(a30000)*', $body;
        $body = "0\r\n\r\n";
    }

    print $s $body;
});

my ($h2, $tls, $six) = (free_port(), free_port(), free_port());
my $ipv6 = IO::Socket::IP->new(Listen => 1, LocalHost => '::1') ? 1 : 0;

my $f = Fidelity->new(
    back => $back,
    plain => [ 'direct' => 'proxy' ],
    exact => [ qw(etag last-modified location) ],
    listen => sub {
        my ($self) = @_;
        my ($crt, $key) = certificate($self->{dir}, 'localhost');

        return <<"END" . ($ipv6 ? "listen [::1]:$six;" : '');
        listen unix:$self->{dir}/socket;
        listen 127.0.0.1:$h2 http2;
        listen 127.0.0.1:$tls ssl;
        ssl_certificate $crt;
        ssl_certificate_key $key;
END
    },
    locations => sub { <<"END" },
        client_body_buffer_size 16k;
        location /direct/ { async_pass http://127.0.0.1:$back/; }
        location /proxy/ {
            async off;
            proxy_http_version 1.1;
            proxy_redirect off;
            proxy_pass http://127.0.0.1:$back/;
        }
END
);


# what all cases have in common: body up, body down

sub cases
{
    my ($each) = @_;

    for my $method (qw(GET POST PUT DELETE PATCH)) {
        for my $size (@sizes) {
            for my $down ('', '.chunked') {
                $each->("$method $size$down", $method,
                        "/direct/$size$down?a=%20b");
                next if $method eq 'GET';

                my %body = (body => substr $block, 0, $size);

                $each->("$method $size$down, a body", $method,
                        "/direct/$size$down?a=%20b", %body);
                $each->("$method $size$down, a body in chunks", $method,
                        "/direct/$size$down?a=%20b", %body, chunked => 30_000);
            }
        }
    }
}


my @fields = ('X-One: 1', 'X-Two:  2 ', 'X-One: 3', 'x-four: 4',
              'Cookie: a=b', 'Accept: a/b', 'User-Agent: u');

# each way for a request of these bytes to come

my %ways = (
    'plain' => $f->{port},
    'a unix socket' => "$f->{dir}/socket",
    $ipv6 ? ('IPv6' => "[::1]:$six") : (),
    'TLS' => sub {
        return piped("openssl s_client -quiet -connect 127.0.0.1:$tls"
                     . ' -servername localhost 2>/dev/null', @_);
    },
    'HTTP/2' => sub {
        my ($head, $body) = $_[0] =~ /^(.*?)\r\n\r\n(.*)$/s;
        my ($line, @lines) = split /\r\n/, $head;
        my ($method, $uri) = split / /, $line;
        my $chunked = grep { /^Transfer-Encoding/ } @lines;

        $body = Fidelity::unchunk($body) if $chunked;

        my $data = $chunked ? '-T -'
            : (grep { /^Content-Length/ } @lines) ? '--data-binary @-' : '';

        return piped("curl -si --http2-prior-knowledge --noproxy '*'"
            . " --max-time 30 -X $method $data "
            . join(' ', map { "-H '$_'" } 'Content-Type: a/b',
                   grep { !/^(?:Connection|Content-Length|Transfer-)/ } @lines)
            . " 'http://127.0.0.1:$h2$uri'", $body);
    },
);

# gives a program its input, returns its output

sub piped
{
    my ($command, $in) = @_;

    my $file = "$f->{dir}/in";
    open my $out, '>', $file or die "$file: $!";
    print $out $in;
    close $out;

    return scalar `$command < $file`;
}


for my $way (sort keys %ways) {
    subtest $way => sub {
        my $n = 0;

        cases(sub {
            my ($what, $method, $uri, %args) = @_;

            # a program for each request takes its time: some of all
            return if ref $ways{$way} && $n++ % 7;

            my $plain = $f->same($what, $method, $uri, %args,
                                 headers => \@fields, to => $ways{$way});
            my ($status, $fields, $body) = parse($plain);
            my ($size) = $uri =~ m{/(\d+)};
            my ($sent) = map { $_->[1] } grep { lc $_->[0] eq 'x-body' }
                @$fields;

            is($status, 207, "$what: it is the backend's");
            ok($body eq substr($block, 0, $size), "$what: all of it");
            is($sent, length($args{body} // '') . ' '
                      . sha256_hex($args{body} // ''), "$what: as it was sent");
        });
    };
}

$f->{nginx}->stop;

done_testing();
