#!/usr/bin/perl

# A client is held, its time is over, and the promise that it shall get is on
# its way to a disk that is slow, or fails: whatever begins meanwhile waits, and
# then goes to the store or to the client.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until request checked in_background slurp);
use Test::More;

my $backend = NgxAsync::Backend->new;
my $dir = $backend->{dir};

my %sync = NgxAsync::preload($dir)
    or plan skip_all => 'nothing can be preloaded';

my $nginx = NgxAsync->new(workers => 1, %sync,
    log_ok => [ qr/\[crit\]/ ],
    locations => <<"END");
        async_wait 100ms;

        location / { async on; proxy_pass $backend->{url}; }

        location /unbuffered/ {
            async on;
            proxy_buffering off;
            proxy_pass $backend->{url};
        }

        location /direct/ { async on; async_pass $backend->{url}; }
        location /empty/ { async on; proxy_pass $backend->{url}; }
END


sub switch
{
    my ($name, $on) = @_;

    return unlink "$dir/$name" unless $on;
    open my $f, '>', "$dir/$name" or die "$name: $!";
}


# a request in a process of its own; gives what it got, once it has ended

sub ask
{
    my ($uri) = @_;

    my $file = "$dir/answer";
    unlink $file;

    my $pid = in_background(sub {
        my $r = request($nginx->{port}, 'POST', $uri, body => 'x');

        open my $f, '>', "$file.new" or die;
        print $f join "\n", $r->{status}, $r->{complete} ? 1 : 0,
            $r->{headers}{'async-id'}[0] // '', $r->{length} // 0,
            checked($r->{body}) ? 1 : 0;
        close $f;
        rename "$file.new", $file;
    });

    return sub {
        my ($seconds) = @_;
        return wait_until(sub { -e $file }, $seconds)
            ? [ split /\n/, slurp($file) ] : undef;
    };
}


for my $case (
    ['a small response', '/', 1000], ['a large one', '/', 3_000_000],
    ['not buffered', '/unbuffered/', 3_000_000],
    ['of a direct call', '/direct/', 3_000_000],
    ['without a body', '/empty/', 0],
) {
    my ($name, $uri, $size) = @$case;

    for my $fails (0, 1) {
        for my $when ('before', 'while') {

            my $what = "$name, "
                . ($fails ? 'no promise' : 'a promise') . ", $when";
            my $token = "$uri$size$fails$when" =~ s/\W//gr;
            my $n = () = $nginx->log =~ /is held to the end/g;

            switch('waits', 1);
            switch('fails', $fails);

            my $answer = ask("$uri?token=$token&gate=$token&size=$size"
                             . ($size ? '' : '&status=204'));

            $backend->wait_for($token);
            wait_until(sub { -e "$dir/waiting" })
                or fail("$what: the promise is on its way");

            if ($when eq 'while') {

                # all of a response that fits into buffers

                $backend->release($token);
                $backend->wait_for($token, 'end') if $size < 100_000;
                ok(!$answer->(0.2 / $NgxAsync::slow), "$what: it waits");
                switch('waiting', 0);

            } else {
                switch('waiting', 0);

                if ($fails) {
                    ok(wait_until(sub {
                        (() = $nginx->log =~ /is held to the end/g) > $n;
                    }), "$what: said in the log");

                    $backend->release($token);
                }
            }

            my ($status, $complete, $id, $length, $good)
                = @{ $answer->(20) // [] };

            switch('fails', 0);

            if ($fails) {
                is($status, $size ? 200 : 204, "$what: its client gets it");
                is($id, '', "$what: as no job");
                ok($complete, "$what: to its end");
                ok($good, "$what: as it was") if $size;

            } else {
                $backend->release($token);
                is($status, 202, "$what: 202");
                is($nginx->wait_end($id)->{status}, 'succeeded',
                   "$what: it is kept");

                my $r = $nginx->request_to('GET', "/jobs/$id/result");
                is($r->{status}, $size ? 200 : 204, "$what: with its result");
                ok(checked($r->{body}), "$what: as it was") if $size;
            }

            is($backend->seen($token), 1, "$what: one call");
        }
    }
}

$nginx->stop;

done_testing;
