#!/usr/bin/perl

# A full map, a full disk, and a disk that fails.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP qw(decode_json);
use NgxAsync qw(wait_until slurp checked);
use Test::More;

my $backend = NgxAsync::Backend->new;


# fills the store with jobs until one is refused: ids, and the refusal

sub fill
{
    my ($nginx, $name) = @_;

    my @ids;

    for my $i (1 .. 400) {
        my $r = $nginx->request_to('POST', "/?token=$name$i&size=200000",
                                   body => 'x' x 100_000);

        if ($r->{status} != 202) {
            return (\@ids, $r);
        }

        push @ids, NgxAsync::uuid($r);
    }

    return (\@ids, undef);
}


sub refused
{
    my ($r, $what) = @_;

    my $d = eval { decode_json($r->{body}) } // {};

    is($r->{status}, 503, "$what: no more is accepted");
    like($r->{headers}{'retry-after'}[0] // '', qr/^[1-9]\d*$/,
         "$what: with Retry-After");
    is($r->{headers}{'content-type'}[0], 'application/problem+json',
       "$what: a problem");
    is($d->{type}, 'urn:ngx-async:problem:store-full', "$what: and its reason");
}


# the log says what is full and what to do, for many at a time

sub logged
{
    my ($nginx, $what, $refused, $lost, @parts) = @_;

    my @lines = grep { /\[error\].*async_store .* full/ }
                split /\n/, $nginx->log;
    my %n;

    for (@lines) {
        /submissions refused: (\d+), responses lost: (\d+)/ or next;
        $n{refused} += $1;
        $n{lost} += $2;
    }

    is($n{refused}, $refused, "$what: the log counts what was refused");
    cmp_ok($n{lost}, '>=', $lost, "$what: and responses that were lost");
    cmp_ok(scalar @lines, '<=', 2 * (2 + int((time - $^T) / 60)),
           "$what: two workers at once, each minute, and at their end");

    for my $part (@parts) {
        is(scalar(grep { !/$part/ } @lines), 0, "$what: and says: $part");
    }
}


# of a store that gets full; numbers of submissions and responses without room

sub scenario
{
    my ($nginx, $what) = @_;

    my $refused = 1;

    # what runs now has to end

    my @running = map {
        $nginx->submit('GET', "/?token=$what-run$_&gate=$what")
    } 1 .. 3;
    $backend->wait_for("$what-run$_") for 1 .. 3;

    my ($ids, $r) = fill($nginx, $what);

    ok($r, "$what: the store gets full") or return;
    refused($r, $what);

    # a job that ends meanwhile may make room for another one

    my ($pass, $token);

    for my $i (1 .. 400) {
        $token = "$what-pass$i";
        $pass = $nginx->request_to('POST', "/pass/?token=$token",
                                   body => 'x' x 1_000_000);
        last if $pass->{status} != 202;
        push @$ids, NgxAsync::uuid($pass);
    }

    $refused++;
    is($pass->{status}, 200, "$what: async_full pass");
    is($pass->{headers}{'async-bypass'}[0], 'store_full',
       "$what: tells its reason");
    is($backend->seen($token), 1, "$what: the call was made once");

    for my $i (1 .. 30) {
        $r = $nginx->request_to('POST', "/?token=$what-many$i",
                                body => 'x' x 1_000_000);
        $refused++ if $r->{status} == 503;
        push @$ids, NgxAsync::uuid($r) if $r->{status} == 202;
    }

    ok(checked($pass->{body}), "$what: its answer is whole");

    $backend->release($what);

    for (@running) {
        my $d = $nginx->wait_end($_);
        is($d->{status}, 'succeeded', "$what: a running job ends")
            or diag($d->{error}{code});
    }

    # each ends: with its result, or because there was no room for that

    my %n;

    for (@$ids) {
        my $d = $nginx->wait_end($_);
        $n{$d->{error}{code} // $d->{status} // 'gone'}++;
    }

    note(join ', ', map { "$_: $n{$_}" } sort keys %n);

    is(($n{succeeded} // 0) + ($n{store_full} // 0) + ($n{gone} // 0),
       scalar @$ids, "$what: every job ends");

    # a cancel and a "forget" always fit

    my $first = $nginx->request_to('DELETE', "/jobs/$ids->[0]");
    like($first->{status}, qr/^(204|404)$/, "$what: a job can be forgotten");

    # after expiry it accepts again, by itself

    ok(wait_until(sub {
        my $r = $nginx->request_to('POST', "/?token=$what-again",
                                   body => 'x' x 50_000);
        $refused++ if $r->{status} == 503;
        $r->{status} == 202;
    }, 30), "$what: it accepts again");

    my $id = $nginx->submit('GET', "/?token=$what-last");
    is($nginx->wait_end($id)->{status}, 'succeeded', "$what: and works");

    return ($refused, $n{store_full} // 0);
}


sub locations
{
    my ($ttl) = @_;

    return <<"END";
        location / {
            async on;
            async_ttl $ttl;
            proxy_pass $backend->{url};
        }

        location /pass/ {
            async on;
            async_ttl $ttl;
            async_full pass;
            proxy_pass $backend->{url};
        }
END
}


my $nginx = NgxAsync->new(workers => 2, size => '8m',
                          locations => locations('3s'));

my @n = scenario($nginx, 'map');
is(join(' ', $backend->repeated('POST') ), '', 'no POST was sent twice');

# that a result had no room is said

push @{ $nginx->{log_ok} }, qr/\[crit\].*(no room|could not be stored)/;
$nginx->stop;
logged($nginx, 'map', @n, 'of size=8m', 'raise its "size="');


# a disk of its own

SKIP: {
    skip 'a small tmpfs can be mounted by root only', 1 if $> != 0;

    my $mount = NgxAsync::base() . "/tmpfs-$$";
    mkdir $mount or die "$mount: $!";

    if (system('mount', '-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', $mount)) {
        rmdir $mount;
        skip 'no tmpfs can be mounted', 1;
    }

    eval {
        $nginx = NgxAsync->new(workers => 2, size => '64m',
                               store => "$mount/store",
                               locations => locations('3s'));

        @n = scenario($nginx, 'disk');
        push @{ $nginx->{log_ok} },
            qr/\[crit\].*(no room|could not be stored)/;
        $nginx->stop;
        logged($nginx, 'disk', @n, 'its disk is full', 'make room');

        1;
    } or fail("full disk: $@");

    undef $nginx;
    system('umount', $mount);
    rmdir $mount;
}


# fdatasync() fails while a file is there

my $dir = $backend->{dir};

SKIP: {
    my %sync = NgxAsync::preload($dir)
        or skip 'nothing can be preloaded', 1;

    my $switch = "$dir/fails";

    $nginx = NgxAsync->new(workers => 1, locations => locations('1h'), %sync);

    my $good = $nginx->submit('POST', '/?token=good', body => 'x' x 1000);
    is($nginx->wait_end($good)->{status}, 'succeeded', 'before the failure');

    # behind all that is being written

    is($nginx->request_to('POST', "/jobs/$good/cancel")->{status}, 409,
       'the disk is not used any more');

    open my $f, '>', $switch or die;
    close $f;

    for my $body ('x', 'x' x 500_000) {
        my $token = 'bad' . length $body;
        my $r = $nginx->request_to('POST', "/?token=$token", body => $body);
        my $d = eval { decode_json($r->{body}) } // {};

        is($r->{status}, 500, 'a failed fdatasync() is a 500');
        is($r->{headers}{'content-type'}[0], 'application/problem+json',
           'a problem');
        is($d->{type}, 'urn:ngx-async:problem:store-failed', 'of the store');
        ok(!$r->{headers}{'operation-location'}, 'that names no job');
        is($backend->seen($token), 0, 'nothing was sent');

        my $pass = $nginx->request_to('POST', "/pass/?token=p$token",
                                      body => $body);
        is($pass->{status}, 200, 'async_full pass');
        is($pass->{headers}{'async-bypass'}[0], 'store_failed',
           'tells its reason');
    }

    # reads need no disk that works

    is($nginx->status($good), 'succeeded', 'what is stored can be read');

    unlink $switch;

    ok(wait_until(sub {
        $nginx->request_to('POST', '/?token=again')->{status} == 202;
    }, 10), 'it accepts again');

    my $id = $nginx->submit('POST', '/?token=after', body => 'y' x 500_000);
    is($nginx->wait_end($id)->{status}, 'succeeded', 'and works');
    is($nginx->status($good), 'succeeded', 'with what was stored before');
    is($backend->seen($_), 0, 'what was refused never runs')
        for 'bad1', 'bad500000';


    # the end of a job that cannot be written is written later

    $id = $nginx->submit('POST', '/?token=end&gate=end');
    $backend->wait_for('end');
    open $f, '>', $switch or die;
    close $f;
    $backend->release('end');
    $backend->wait_for('end', 'end');
    wait_until(sub { $nginx->log =~ /could not be stored, trying again/ })
        or fail('the failure is logged');
    isnt($nginx->status($id), 'succeeded', 'not stored, not told');
    unlink $switch;
    is($nginx->wait_end($id)->{status}, 'succeeded', 'it is stored later');
    is($backend->seen('end'), 1, 'of one call');

    # a piece of a response that cannot be written is no lack of room

    my $again = sub {
        return scalar(() = $nginx->log =~ /could not be stored, trying again/g);
    };

    my $before = $again->();
    my $failed = $nginx->submit('GET', '/?token=piece&size=300000&gate=piece');
    $backend->wait_for('piece');
    open $f, '>', $switch or die;
    close $f;
    $backend->release('piece');
    wait_until(sub { $again->() > $before }) or fail('the end is tried again');
    unlink $switch;

    my $error = $nginx->wait_end($failed)->{error};
    is($error->{code}, 'store_failed', 'the job ends without its response');
    like($error->{message}, qr/ store: Input\/output error\.$/, 'and says why');

    push @{ $nginx->{log_ok} }, qr/\[crit\]/;
    unlike($nginx->log, qr/\[(alert|emerg)\]/, 'no alert');

    # the pages get to the disk, but not the root that leads to them: the
    # worker ends, and leaves the rest to its successor

    push @{ $nginx->{log_ok} }, qr/the disk failed behind a transaction/;

    is($nginx->request_to('POST', "/jobs/$id/cancel")->{status}, 409,
       'nothing is being written');

    open $f, '>', "$dir/second" or die;
    close $f;

    my $r = eval { $nginx->request_to('POST', '/?token=unknown') } // {};
    unlink "$dir/second";

    ok(!$r->{status}, 'nobody knows whether there is a job: no answer');
    like($nginx->log, qr/the disk failed behind a transaction/, 'but a line');

    is($nginx->wait_end($nginx->submit('POST', '/?token=next'))->{status},
       'succeeded', 'a new worker is there');

    $nginx->stop;

    # the same after a restart

    $nginx->configure(main => '');
    delete $nginx->{env};
    $nginx->start;
    is($nginx->status($_), 'succeeded', 'still there after a restart')
        for $good, $id;
    $nginx->stop;
}


# the order of system calls

# what open() gave, also if another thread was traced before it returned

sub opened
{
    my ($what, @lines) = @_;
    my $thread;

    for (@lines) {
        my ($id) = /^(\d+)/;

        if (/$what/) {
            return $1 if /= (\d+)$/;
            $thread = $id;

        } elsif (defined $thread && $id == $thread
                 && /<\.\.\. openat resumed>.*= (\d+)$/)
        {
            return $1;
        }
    }

    return;
}


SKIP: {
    skip 'strace does not go with sanitizers', 1 if $ENV{ASAN_OPTIONS};

    skip 'no strace', 1
        if system('strace -qq -o /dev/null true 2>/dev/null') != 0;

    my $trace = "$dir/trace";

    $nginx = NgxAsync->new(workers => 1, locations => locations('1h'),
        wrapper => ['strace', '-f', '-qq', '-s', '64', '-o', $trace, '-e',
                    'trace=openat,pwrite64,fdatasync,fsync,msync,write,writev,sendto,'
                    . 'connect']);

    my $mark = -s $trace;
    my $id = $nginx->submit('POST', '/?token=traced');
    $nginx->wait_end($id);

    my $calls = substr slurp($trace), $mark;

    # a large response: its entry, its file and its name before its job's end

    $mark = -s $trace;
    $id = $nginx->submit('GET', '/?token=large&size=1000000');
    $nginx->wait_end($id);
    $nginx->stop;

    my @large = split /\n/, substr slurp($trace), $mark;
    my $file = opened(qr{/blobs/.*O_CREAT}, @large);
    my $dir = opened(qr{/blobs", .*O_DIRECTORY}, @large);
    my @order = map {
        /fdatasync\($file[) ]/ ? 'file'
        : /fsync\($dir[) ]/ ? 'name'
        : /(?:fdatasync|msync)\(/ ? 'record' : ()
    } @large;

    like("@order", qr/^record( record)* file name\b.* record$/,
         'entry, file and name, record');
    my ($sync, $written, $unsynced, $accepted, $connected);
    my $n = 0;

    for (split /\n/, $calls) {
        $n++;

        # done: not when it was begun

        if (/(?:fdatasync|fsync|msync)\b.*= 0$/) {
            $sync //= $n;
            undef $written;
        }

        $written = $n if /pwrite64\b.*= \d+$/;

        if (!$accepted && /(?:write|writev|sendto)\(.*HTTP\/1\.1 202/) {
            $accepted = $n;
            $unsynced = $written;
        }

        $connected //= $n if /connect\(.*htons\($backend->{port}\)/;
    }

    ok($sync && $accepted && $connected, 'all was seen')
        or diag(substr $calls, 0, 4000);
    ok($sync < $accepted && !$unsynced,
       'the job is on the disk before the 202 is sent');
    ok($sync < $connected, 'and before the call begins');
}

done_testing;
