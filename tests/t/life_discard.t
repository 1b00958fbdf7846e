#!/usr/bin/perl

# A large request is refused when a part of it is on the disk already, and the
# disk fails just when that part is to be dropped: it is dropped later.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until request in_background);
use POSIX ();
use Test::More;

my $backend = NgxAsync::Backend->new;
my $dir = $backend->{dir};

my %sync = NgxAsync::preload($dir)
    or plan skip_all => 'nothing can be preloaded';

my $nginx = NgxAsync->new(workers => 1, %sync,
    http => 'async_queue default concurrency=1 backlog=1;',
    locations => <<"END");
        location / { async on; proxy_pass $backend->{url}; }
        location = /metrics { async_metrics; }
END


sub touch
{
    my ($name) = @_;
    open my $f, '>', "$dir/$name" or die "$name: $!";
}


sub metric
{
    my ($name) = @_;
    my ($n) = $nginx->request_to('GET', '/metrics')->{body}
        =~ /^ngx_async_$name(?:\{.*?\})? (\d+)/m;
    return $n;
}


# in pieces, and in a file of the store

for my $size (100_000, 1_000_000) {

    my $runs = $nginx->submit('GET', "/?token=r$size&gate=g$size");
    $backend->wait_for("r$size");
    my $waits = $nginx->submit('GET', "/?token=w$size");

    my $used = metric('store_used_bytes');
    my $rejected = metric('submissions_rejected_total');
    my $failed = () = $nginx->log =~ /a transaction failed/g;

    # each sync waits, also the first one after the refusal

    touch('waits');

    in_background(sub {
        my $r = request($nginx->{port}, 'POST', "/?token=x$size",
                        body => 'x' x $size);
        POSIX::_exit($r->{status} == 503 ? 0 : 1);
    });

    ok(wait_until(sub {
        return unless -e "$dir/waiting";
        return 1 if metric('submissions_rejected_total') > $rejected;
        touch('waits');
        unlink "$dir/waiting";
        return;
    }, 20), "$size: a request is refused, and is being dropped");

    touch('fails');
    unlink "$dir/waits", "$dir/waiting";

    ok(wait_until(sub {
        (() = $nginx->log =~ /a transaction failed/g) > $failed;
    }), "$size: the disk fails");
    unlink "$dir/fails";

    ok(wait_until(sub { metric('store_used_bytes') <= $used }, 20),
       "$size: nothing of it is left in the store");

    $backend->release("g$size");
    is($nginx->wait_end($_)->{status}, 'succeeded', "$size: jobs end")
        for $runs, $waits;
    is($backend->seen("x$size"), 0, "$size: it was not sent");
}

$nginx->stop;

done_testing;
