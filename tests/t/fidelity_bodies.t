#!/usr/bin/perl

# Bodies of many sizes in both directions, with a length and chunked, buffered
# and not: what arrives is what was sent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(sha256_hex);
use Driver qw(backend);
use Fidelity qw(exchange parse);
use Test::More;

# a body of any size that can be told from others

sub body
{
    my ($size) = @_;
    my $block = join '', map { sprintf '%07d|', $_ } 1 .. 4096;
    return substr $block x (1 + $size / length $block), 0, $size;
}

# answers a GET with as many bytes as it asks for, and anything else with the
# length and the digest of what it was sent

my $back = backend(sub {
    my ($s) = @_;
    my ($head, $got) = Driver::read_request($s);

    if ($head =~ m{^GET \S+/(\d+)(\.chunked)?}) {
        my ($size, $chunked) = ($1, $2);
        my $body = body($size);

        print $s "HTTP/1.1 200 OK\r\nConnection: close\r\n",
            $chunked ? "Transfer-Encoding: chunked\r\n\r\n"
                     : "Content-Length: $size\r\n\r\n";

        for (my $i = 0; $i < $size; $i += 50_000) {
            my $piece = substr $body, $i, 50_000;
            print $s $chunked
                ? sprintf("%x\r\n", length $piece) . "$piece\r\n" : $piece;
        }

        print $s "0\r\n\r\n" if $chunked;
        return;
    }

    my ($name) = $head =~ /^Content-Length: (\d+)/mi;
    my $text = join ' ', $name // 'none', length $got, sha256_hex($got);
    print $s "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ",
        length $text, "\r\n\r\n$text";
});

my $f = Fidelity->new(back => $back, locations => sub {
    my ($self) = @_;
    my $d = $self->{dir};

    mkdir "$d/dav";
    mkdir "$d/static";
    for my $size (0, 1, 65535, 65536, 65537) {
        open my $file, '>', "$d/static/$size" or die $!;
        print $file body($size);
    }

    return <<"END";
        proxy_http_version 1.1;
        location /buffered/ { proxy_pass http://127.0.0.1:$back; }
        location /unbuffered/ {
            proxy_buffering off;
            proxy_pass http://127.0.0.1:$back;
        }
        location /small-buffers/ {
            proxy_buffers 4 1k; proxy_buffer_size 1k;
            proxy_busy_buffers_size 2k;
            client_body_buffer_size 1k;
            proxy_pass http://127.0.0.1:$back;
        }
        location /static/ { root $d; sendfile on; }
        location /in-file/ {
            client_body_in_file_only clean;
            proxy_set_header X-File \$request_body_file;
            proxy_pass http://127.0.0.1:$back;
        }
        location /dav/ {
            root $d; dav_methods PUT DELETE MKCOL COPY MOVE;
            client_body_buffer_size 1k;
        }
END
});

my @sizes = (0, 1, 65535, 65536, 65537, 16 << 20);


for my $path ('/buffered', '/unbuffered', '/small-buffers', '/static') {
    subtest "responses, $path" => sub {
        for my $size (@sizes) {
            next if $path eq '/static' && $size > 1 << 20;

            for my $form ('', '.chunked') {
                next if $path eq '/static' && $form;

                my $plain = $f->same("$size$form", GET => "$path/$size$form");
                my ($status, undef, $body) = parse($plain);
                ok($body eq body($size), "$size$form: all of it");

            }
        }
    };
}


for my $path ('/buffered', '/small-buffers', '/in-file') {
    subtest "requests, $path" => sub {
        for my $size (@sizes) {
            my $body = body($size);

            for my $chunked (0, 30_000) {
                my $name = $size . ($chunked ? ' chunked' : '');
                my $plain = $f->same($name, POST => "$path/x", body => $body,
                                     chunked => $chunked);
                my (undef, undef, $text) = parse($plain);
                is($text, join(' ', $size, $size, sha256_hex($body)),
                   "$name: all of it");
            }
        }
    };
}


subtest 'PUT of a file' => sub {
    for my $size (@sizes) {
        for my $mode ('none', 'hold', 'keep') {
            my $file = "$f->{dir}/dav/$mode$size";
            my ($status) = parse(exchange($f->{port}, $f->text(
                $mode, PUT => "/dav/$mode$size", body => body($size))));

            is($status, $mode eq 'keep' ? 202 : 201, "$mode $size");

            Driver::until_true(20, sub { -e $file && -s $file == $size });

            open my $got, '<', $file or fail("$mode $size: a file"), next;
            local $/;
            ok(<$got> eq body($size), "$mode $size: the file");
        }
    }

    is_deeply([ glob "$f->{dir}/temp/body/*" ], [], 'no file is left over');
};


$f->{nginx}->stop;

done_testing();
