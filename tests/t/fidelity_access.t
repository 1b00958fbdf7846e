#!/usr/bin/perl

# A job reaches nothing that the same request would not reach without it, and
# nothing is done twice because of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Driver qw(backend free_port until_true);
use Fidelity qw(exchange parse);
use Test::More;

# a backend that notes what it is asked for

my $notes = File::Temp->new;

my $back = backend(sub {
    my ($s) = @_;
    my ($head, $body) = Driver::read_request($s);
    my ($line) = $head =~ /^(\S+ \S+)/;
    my ($mode) = $head =~ /^X-Mode: (\S+)/mi;

    open my $f, '>>', "$notes" or die $!;
    print $f "$line $mode\n";
    close $f;

    my ($to) = $head =~ /[?&]to=(\S*?)(?:&|\s)/;
    my ($status) = $head =~ /[?&]status=(\d+)/;

    return if $head =~ /[?&]cut/;

    my $text = '<!--#include virtual="/text/a.html" --> one {{one}}';
    print $s 'HTTP/1.1 ', $status // 200, " OK\r\nConnection: close\r\n",
        "Content-Type: text/html\r\n",
        defined $to ? "X-Accel-Redirect: $to\r\n" : '',
        'Content-Length: ', length $text, "\r\n\r\n$text";
});

# how often the backend was asked for a path, in this mode

sub times_asked
{
    my ($mode, $what) = @_;

    open my $f, '<', "$notes" or return 0;
    return scalar grep { /^$what\S* $mode$/ } <$f>;
}

my $f = Fidelity->new(back => $back, locations => sub {
    my ($self) = @_;
    my $d = $self->{dir};

    mkdir "$d/secret";
    mkdir "$d/open";
    for ("$d/secret/index.html", "$d/open/index.html", "$d/open/a.html") {
        open my $file, '>', $_ or die $!;
        print $file $_ =~ /secret/ ? 'the secret'
            : 'an open file <!--#echo var="request_method" -->';
    }

    open my $file, '>', "$d/users" or die $!;
    print $file "me:{PLAIN}word\n";

    return <<"END";
        root $d;

        location /secret/ { deny all; }
        location /inside/ { internal; alias $d/open/; }
        location /locked/ {
            auth_basic closed; auth_basic_user_file $d/users;
            alias $d/open/;
        }
        location /asked-first/ { auth_request /no; alias $d/open/; }
        location = /no { internal; return 403; }
        location \@secret { deny all; proxy_pass http://127.0.0.1:$back; }
        location \@open { proxy_pass http://127.0.0.1:$back; }

        location /back/ { proxy_pass http://127.0.0.1:$back; }
        location /page/ {
            proxy_intercept_errors on;
            error_page 500 /secret/index.html;
            error_page 501 \@secret;
            error_page 502 /inside/a.html;
            error_page 503 = \@open;
            proxy_pass http://127.0.0.1:$back;
        }
        location /tried/ { try_files /none /secret/index.html; }
        location /tried-named/ { try_files /none \@secret; }
        location /any/ {
            satisfy any;
            deny all;
            auth_basic closed; auth_basic_user_file $d/users;
            proxy_pass http://127.0.0.1:$back;
        }
        location /both/ {
            allow all;
            auth_basic closed; auth_basic_user_file $d/users;
            proxy_pass http://127.0.0.1:$back;
        }
        location /once/ {
            auth_request /ask;
            mirror /mirror;
            proxy_pass http://127.0.0.1:$back;
        }
        location = /ask {
            internal;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://127.0.0.1:$back/ask;
        }
        location = /mirror {
            internal;
            proxy_pass http://127.0.0.1:$back/mirror;
        }
        location /ssi/ { ssi on; proxy_pass http://127.0.0.1:$back; }
        location /text/ { alias $d/open/; }
        location /sub/ {
            sub_filter one "{{one}}"; sub_filter_once off;
            proxy_pass http://127.0.0.1:$back;
        }
        location /after/ {
            post_action /action;
            proxy_pass http://127.0.0.1:$back;
        }
        location = /action {
            internal;
            proxy_pass http://127.0.0.1:$back/action;
        }
END
});


my @me = ('Authorization: Basic bWU6d29yZA==');


subtest 'where a response sends the request' => sub {
    for my $to ('/secret/index.html', '/secret/', '/inside/a.html', '@secret',
                '@open', '/locked/a.html', '/asked-first/a.html', '/none',
                '/back/x', '/any/x')
    {
        for my $method (qw(GET POST)) {
            my $plain = $f->same("$method to $to", $method,
                "/back/?to=$to", $method eq 'POST' ? (body => 'b') : ());

            unlike($plain, qr/the secret/, 'a secret');
        }
    }

    $f->same('with a password', GET => '/back/?to=/locked/a.html',
             headers => [@me]);
};


subtest 'error_page' => sub {
    for my $status (500 .. 503) {
        $f->same("$_ $status", $_ => "/page/?status=$status",
                 $_ eq 'POST' ? (body => 'b') : ()) for qw(GET POST);
    }
};


subtest 'try_files' => sub {
    # they are there after a check that lets nobody in: no job is made
    for my $uri ('/tried/', '/tried-named/', '/secret/', '/inside/a.html') {
        my ($status) = parse(exchange($f->{port},
                                      $f->text('keep', GET => $uri)));
        my $plain = $f->held($uri, GET => $uri);

        is($status, (parse($plain))[0], "$uri: no job");
    }
};


subtest 'satisfy' => sub {
    for my $uri ('/any/x', '/both/x') {
        my $plain = $f->same("$uri with a password", GET => $uri,
                             headers => [@me]);
        is((parse($plain))[0], 200, 'an answer');

        for my $mode ('hold', 'keep') {
            my $text = exchange($f->{port}, $f->text($mode, GET => $uri));
            is((parse($text))[0], 401, "$uri without one: $mode");
            like($text, qr/^WWW-Authenticate: Basic realm="closed"\r$/m,
                 'it is asked for');
        }
    }
};


subtest 'headers that look like those of a call' => sub {
    for my $header ('X-Async-Call: 1', 'Async-Id: 1', 'X-Async: call',
                    'Async-Bypass: queue_full', 'X-Accel-Redirect: /inside/')
    {
        for my $uri ('/secret/', '/inside/a.html', '/any/x') {
            my ($status) = parse(exchange($f->{port},
                $f->text('keep', GET => $uri, headers => [$header])));
            like($status, qr/^40[134]$/, "$uri with $header");
        }
    }
};


subtest 'nothing is done twice' => sub {
    my $n = 0;

    for my $method (qw(GET POST)) {
        for my $case (
            ['/back/', 'a request'],
            ['/page/?status=503&', 'a primary that failed'],
            ['/page/?cut&', 'a primary that was cut off'],
            ['/once/', 'a check and a mirror'])
        {
            my ($uri, $name) = @$case;
            my %times;

            for my $mode (qw(none hold keep)) {
                my $tag = 'n' . ++$n;
                my $text = exchange($f->{port}, $f->text($mode, $method,
                    $uri . ($uri =~ /\?/ ? '' : '?') . $tag,
                    $method eq 'POST' ? (body => 'b') : ()));

                if ($mode eq 'keep') {
                    my ($job) = $text
                        =~ m{^Operation-Location: \S+?(/jobs/\S+)}m;
                    exchange($f->{port}, "GET $job/result?wait=30 HTTP/1.1\r\n"
                             . "Host: localhost\r\nConnection: close\r\n\r\n");
                }

                $times{$mode} = times_asked($mode, "$method .*$tag");
            }

            is($times{hold}, $times{none}, "$name, $method: held");
            is($times{keep}, $times{none}, "$name, $method: stored");
        }
    }

    for my $mode (qw(none hold keep)) {
        is(times_asked($mode, 'GET /ask'), times_asked('none', 'GET /ask'),
           "checks, $mode");

        ok(until_true(10, sub {
            times_asked($mode, '\S+ /mirror')
                == times_asked('none', '\S+ /mirror') }), "mirrors, $mode");
    }

    for my $mode (qw(none hold keep)) {
        exchange($f->{port}, $f->text($mode, GET => '/after/x'));

        ok(until_true(10, sub { times_asked($mode, 'GET /action') }),
           "post_action, $mode");
    }

    # a later one ends after all that came before
    exchange($f->{port}, $f->text('none', GET => '/back/'));
    is(times_asked($_, 'GET /action'), 1, "post_action once, $_")
        for qw(none hold keep);
};


subtest 'filters run once' => sub {
    my (undef, undef, $body) = parse($f->same('ssi', GET => '/ssi/'));
    is($body, 'an open file <!--#echo var="request_method" --> one {{one}}',
       'what was included is not executed');

    (undef, undef, $body) = parse($f->same('sub_filter', GET => '/sub/'));
    like($body, qr/-->\Q {{one}} {{{{one}}}}\E$/, 'replaced once');
};


$f->{nginx}->stop;

done_testing();
