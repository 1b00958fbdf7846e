#!/usr/bin/perl

# Bodies of 256 MiB in both directions: no worker's private memory grows by
# more than 16 MiB.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA;
use NgxAsync qw(wait_until slurp);
use Test::More;

plan skip_all => 'sanitizers need memory of their own' if $ENV{ASAN_OPTIONS};

my $size = 256 << 20;
my $limit = 16 << 10;               # KiB

my $backend = NgxAsync::Backend->new;
my $nginx = NgxAsync->new(workers => 2, size => '4g', locations => <<"END");
        location / { async on; proxy_pass $backend->{url}; }

        location /unbuffered/ {
            async on;
            proxy_buffering off;
            proxy_pass $backend->{url};
        }

        location /held/ {
            async on;
            async_wait 60s;
            proxy_pass $backend->{url};
        }

        location /keyed/ {
            async on;
            async_wait 60s;
            async_key \$arg_token;
            proxy_pass $backend->{url};
        }

        location /sent/ { async on; async_pass $backend->{url}; }

        location /direct/ {
            async on;
            async_wait 60s;
            async_key \$arg_key;
            async_pass $backend->{url};
        }
END


# Anonymous and changed private memory in KiB; clean pages of the mapped store
# are the page cache's.  What is both is counted once.

sub private
{
    my ($pid) = @_;

    my %m = slurp("/proc/$pid/smaps_rollup") =~ /^(\w+): +(\d+) kB/mg;

    return $m{Private_Dirty} > $m{Anonymous}
        ? $m{Private_Dirty} : $m{Anonymous};
}


# looks now and then while something goes on

my (%before, %grown);

sub look
{
    for my $pid (keys %before) {
        my $n = private($pid) - $before{$pid};
        $grown{$pid} = $n if $n > ($grown{$pid} // 0);
    }
}


sub watched
{
    my ($what, $code) = @_;

    %grown = ();

    my $watcher = fork // die;

    if ($watcher == 0) {
        my $go = 1;
        local $SIG{TERM} = sub { $go = 0 };

        while ($go) {
            look();
            select undef, undef, undef, 0.05;
        }

        open my $f, '>', "$nginx->{dir}/grown";
        print $f join "\n", values %grown;
        close $f;
        POSIX::_exit(0);
    }

    $code->();

    kill 'TERM', $watcher;
    waitpid $watcher, 0;

    my ($most) = sort { $b <=> $a } split /\n/, slurp("$nginx->{dir}/grown");

    cmp_ok($most // 0, '<=', $limit, "$what: ${\ ($most // 0)} KiB more");
}


my $block = join '', map { chr($_ % 251) } 0 .. 65535;
my $sent = Digest::SHA->new(256);
$sent->add($block) for 1 .. $size / length $block;
$sent = $sent->hexdigest;

sub post
{
    my ($uri) = @_;

    return $nginx->request_to('POST', $uri, body => [$size, $block],
                              timeout => 120);
}


# a response of the recorder, that is not kept in memory here either

sub whole
{
    my ($uri, $slow) = @_;

    my $h = Digest::SHA->new(256);
    my $tail = '';

    my $r = $nginx->request_to('GET', $uri, timeout => 120, take => sub {
        my $data = $tail . $_[0];
        my $n = length($data) > 64 ? length($data) - 64 : 0;

        $h->add(substr $data, 0, $n);
        $tail = substr $data, $n;
        select undef, undef, undef, 0.001 if $slow;
    });

    return $r->{complete} && $r->{length} == $size && $h->hexdigest eq $tail;
}


# one small job on each worker first, which sets up what stays

for (1 .. 20) {
    my $id = $nginx->submit('POST', "/?token=warm$_", body => 'x' x 200_000);
    $nginx->wait_end($id);
    $nginx->request_to('GET', "/jobs/$id/result");
}

%before = map { $_ => private($_) } $nginx->workers;

for my $location ('/', '/unbuffered/', '/sent/') {

    my $id;

    watched("$location: a request", sub {
        my $r = post("$location?token=up$location");
        $id = NgxAsync::uuid($r);
        is($r->{status}, 202, "$location: a large request is accepted");
        is($nginx->wait_end($id, 120)->{status}, 'succeeded',
           "$location: and run");
    });

    my ($body) = grep { $_->[0] eq 'body' && $_->[1] eq "up$location" }
                 $backend->lines;
    is($body->[2], $size, "$location: all of it came");
    is($body->[3], $sent, "$location: as it was sent");

    watched("$location: a response", sub {
        $id = $nginx->submit('GET', "$location?token=down&size=$size");
        is($nginx->wait_end($id, 120)->{status}, 'succeeded',
           "$location: a large response is stored");
    });

    watched("$location: a result", sub {
        ok(whole("/jobs/$id/result"), "$location: and is as it was");
    });

    is($nginx->request_to('DELETE', "/jobs/$id")->{status}, 204, 'forgotten');
}

watched('held', sub {
    ok(whole("/held/?token=held&size=$size"), 'held: a large response');

    my $r = post('/held/?token=uph');
    is($r->{status}, 200, 'held: a large request');
});

watched('held and stored', sub {
    ok(whole("/keyed/?token=key&size=$size"), 'keyed: a large response');

    my $r = post('/keyed/?token=upk');
    is($r->{status}, 200, 'keyed: a large request');
    is($backend->seen($_, 'body'), 1, 'sent once') for 'uph', 'upk';
});

# a client that is slower than the backend

for my $key ('', 'direct') {
    watched("direct '$key'", sub {
        ok(whole("/direct/?token=d$key&key=$key&size=$size", 1),
           'direct: a large response to a slow client');
    });
}

$nginx->stop;

done_testing;
