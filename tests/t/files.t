#!/usr/bin/perl

# Large requests and responses are files of the store: their crash rules, their
# room, and how they are served.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Errno qw(EDQUOT EIO ENOSPC);
use JSON::PP qw(decode_json);
use IO::Socket::INET;
use NgxAsync qw(wait_until slurp checked);
use Test::More;

my $size = 3_000_000;
my $backend = NgxAsync::Backend->new;
my $nginx;


sub locations
{
    return <<"END";
        location / { async on; proxy_pass $backend->{url}; }

        location /fast/ {
            async on;
            proxy_buffers 8 64k;
            proxy_pass $backend->{url};
        }

        location /kept/ {
            async on;
            async_keep_request 1h;
            proxy_pass $backend->{url};
        }
END
}


sub files
{
    my $dir = $nginx->store . '/blobs';

    opendir my $d, $dir or return;
    return map { "$dir/$_" } grep { !/^\./ } readdir $d;
}


# files of parts of jobs, by "q" or "a"

sub parts { return grep { m{/[-0-9a-f]{36}\.$_[0]\.} } files() }


sub is_files
{
    my ($n, $what) = @_;

    ok(wait_until(sub { files() == $n }), $what)
        or diag(join "\n", files());
}


sub result
{
    my ($id, %args) = @_;

    return $nginx->request_to('GET', "/jobs/$id/result", %args);
}


# jobs that are finished

sub large
{
    my ($token, $args) = @_;

    my $id = $nginx->submit('GET', "/fast/?token=$token&size=$size"
                                   . ($args // ''));
    is($nginx->wait_end($id)->{status}, 'succeeded', "$token: done");

    return $id;
}


for my $sendfile ('on', 'off', 'off; aio threads', 'on; directio 1m') {

    subtest "sendfile $sendfile" => sub {

        $nginx = NgxAsync->new(workers => 2, locations => locations(),
                               http => "sendfile $sendfile;");

        my $id = large('known');
        my $body = result($id)->{body};

        is(length $body, $size, 'all of it');
        ok(checked($body), 'as it was');
        is_files(1, 'a file');

        my $mode = sprintf '%o', (stat((files())[0]))[2] & 07777;
        is($mode, '600', 'for its owner alone');
        $mode = sprintf '%o', (stat($nginx->store . '/blobs'))[2] & 07777;
        is($mode, '700', 'as is the directory');

        ok(substr(slurp((files())[0]), -$size) eq $body, 'with the body');

        # ranges

        my $r = result($id, headers => ["Range: bytes=1000000-1999999"]);
        is($r->{status}, 206, 'a range');
        is($r->{headers}{'content-range'}[0],
           "bytes 1000000-1999999/$size", 'is the one asked for');
        ok($r->{body} eq substr($body, 1_000_000, 1_000_000), 'and its bytes');

        $r = result($id, headers => ["Range: bytes=-5"]);
        is($r->{body}, substr($body, -5), 'the end of it');

        $r = result($id, headers => ["Range: bytes=$size-"]);
        is($r->{status}, 416, 'behind the end');

        my $etag = result($id, headers => ["Range: bytes=0-0"])
                   ->{headers}{etag}[0];

        $r = result($id, headers => ['Range: bytes=0-0',
                                      "If-Range: $etag"]);
        is($r->{status}, 206, 'If-Range');
        $r = result($id, headers => ['Range: bytes=0-0',
                                      'If-Range: "other"']);
        is($r->{status}, 200, 'If-Range of something else');
        is($r->{length}, $size, 'is all of it');

        $r = result($id, headers => ["If-None-Match: $etag"]);
        is($r->{status}, 304, 'If-None-Match');

        $r = $nginx->request_to('HEAD', "/jobs/$id/result");
        is($r->{status}, 200, 'HEAD');
        is($r->{headers}{'content-length'}[0], $size, 'with its length');

        $r = result($id, headers => ["Range: bytes=0-9,2999990-2999999"]);

        if ($sendfile eq 'off') {
            is($r->{status}, 200, 'two ranges');
            ok($r->{body} eq $body, 'give all of it');

        } else {
            is($r->{status}, 206, 'two ranges');
            like($r->{body}, qr/\Q${\ substr $body, 0, 10}\E\r\n--.*
                                \Q${\ substr $body, -10}\E\r\n--/xs,
                 'give both');
        }

        # of unknown length, of a request, and of no one any more

        my $unknown = large('unknown', '&length=0');
        ok(result($unknown)->{body} && checked(result($unknown)->{body}),
           'a response of unknown length');
        is_files(2, 'is a file, too');

        $nginx->reload;
        ok(checked(result($unknown)->{body}), 'there after a reload');

        is($nginx->request_to('DELETE', "/jobs/$_")->{status}, 204,
           'forgotten') for $id, $unknown;
        is_files(0, 'and the files are gone');

        $nginx->stop;
    };
}


# what is left behind

subtest 'kill -9 in the middle of a response' => sub {

    $nginx = NgxAsync->new(workers => 2, locations => locations());

    my $again = $nginx->submit('GET',
                          "/?token=again&size=$size&pieces=30&gap=50");
    my $never = $nginx->submit('POST',
                          "/?token=never&size=$size&pieces=30&gap=50");

    ok(wait_until(sub {
        grep { /\Q$again\E/ && -s $_ } files()
    }), 'the first has begun');
    ok(wait_until(sub {
        grep { /\Q$never\E/ && -s $_ } files()
    }), 'and the other');

    is(result($again)->{status}, 202, 'no part of it is given out');

    $nginx->kill_all;
    is(scalar files(), 2, 'two parts are left');

    $nginx->start;

    my $d = $nginx->wait_end($never);
    is($d->{error}{code}, 'interrupted', 'one may not be repeated');
    is(result($never)->{status}, 502, 'and has no result');

    is($nginx->wait_end($again)->{status}, 'succeeded', 'one is');
    ok(checked(result($again)->{body}), 'and is whole');

    is_files(1, 'nothing else is left');
    $nginx->stop;
};


subtest 'files of no job' => sub {

    my $id = 'x';

    $nginx = NgxAsync->new(workers => 2, locations => locations());
    $id = large('stays');

    my $dir = $nginx->store . '/blobs';
    my @names = map {
        sprintf '%s/%s.a.%016x', $dir,
                "01981f3e-7a5c-7cc3-98c4-dc0c0c0739$_", hex $_
    } '10' .. '90';

    for my $file (@names, "$dir/README", "$dir/$id") {
        open my $f, '>', $file or die "$file: $!";
        print $f 'x';
        close $f;
    }

    $nginx->reload;

    is_files(3, 'are removed by the next workers');
    ok(-e "$dir/README" && -e "$dir/$id", 'but not those of others');
    ok(checked(result($id)->{body}), 'nor those of jobs');

    my ($file) = parts('a');

    $nginx->stop;

    # a file that is not as it was

    truncate $file, (-s $file) - 1 or die;
    $nginx->start;

    my $r = result($id);
    is($r->{status}, 500, 'a short file');
    is(decode_json($r->{body})->{type},
       'urn:ngx-async:problem:store-failed', 'is told so');
    like($nginx->log, qr/\[error\].*reading a job failed/, 'and logged');
    is($nginx->status($id), 'succeeded', 'the job can still be seen');

    unlink $file;
    is(result($id)->{status}, 500, 'the same of a lost one');
    is($nginx->request_to('DELETE', "/jobs/$id")->{status}, 204,
       'the job can be forgotten');
    $nginx->stop;
};


# a client that reads slowly, while the job goes away

sub slow_client
{
    my ($id) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                  PeerPort => $nginx->{port}) or die;
    print $s "GET /jobs/$id/result HTTP/1.0\r\n\r\n";
    sysread $s, my $in, 1;

    return $s;
}


sub rest
{
    my ($s) = @_;

    my $in = '';
    while (sysread $s, $in, 1 << 20, length $in) { }

    return $in =~ s/^.*?\r\n\r\n//sr;
}


subtest 'slow readers' => sub {

    # more than sockets take

    $size = 32_000_000;
    $nginx = NgxAsync->new(workers => 2, locations => locations(),
                           http => 'sendfile on;');

    my $id = large('slow');
    my $s = slow_client($id);

    is($nginx->request_to('DELETE', "/jobs/$id")->{status}, 204, 'forgotten');
    is_files(0, 'the file has no name any more');
    ok(checked(rest($s)), 'who has begun gets all of it');
    is(result($id)->{status}, 404, 'nobody else does');

    # a failed job that is run again has another response

    $id = $nginx->submit('POST', "/kept/?token=r&size=$size&status=500",
                         body => 'x');
    is($nginx->wait_end($id)->{status}, 'failed', 'failed');

    $s = slow_client($id);
    is($nginx->request_to('POST', "/jobs/$id/retry")->{status}, 202, 'again');
    ok(wait_until(sub { $backend->seen('r') == 2 }), 'it runs');
    $nginx->wait_end($id);
    ok(checked(rest($s)), 'who has begun gets the first');
    ok(checked(result($id)->{body}), 'then there is the second');
    is_files(1, 'and only that');

    $nginx->stop;
    $size = 3_000_000;
};


subtest 'requests' => sub {

    my $body = join '', map { chr($_ % 251) } 0 .. 999_999;

    $nginx = NgxAsync->new(workers => 2, locations => locations(),
        http => 'async_queue one concurrency=1 backlog=1;',
        jobs => 'location /jobs/ { async_jobs; }'
              . "location /one/ { async on queue=one;"
              . " proxy_pass $backend->{url}; }");

    # one runs, one waits, one is refused

    my $runs = $nginx->submit('GET', '/one/?token=run&gate=one');
    $backend->wait_for('run');

    my $waits = $nginx->submit('POST', '/one/echo?token=w', body => $body);
    is(scalar parts('q'), 1, 'a large request is a file');

    my $r = $nginx->request_to('POST', '/one/echo?token=r', body => $body);
    is($r->{status}, 503, 'one is refused');
    is_files(1, 'and is not kept');

    $nginx->kill_all;
    is(scalar parts('q'), 1, 'what was accepted is there after kill -9');
    $nginx->start;

    $backend->release('one');
    is($nginx->wait_end($waits)->{status}, 'succeeded', 'it runs');
    ok(result($waits)->{body} eq $body, 'as it was sent');
    is_files(1, 'only the response is kept');

    # a repeat with the same key

    for (1, 2) {
        $r = $nginx->request_to('POST', '/echo?token=k', body => $body,
                                headers => ['Idempotency-Key: k']);
        is($r->{status}, 202, 'with a key');
    }

    $nginx->wait_end(NgxAsync::uuid($r));
    is_files(2, 'a repeat leaves nothing');
    $nginx->stop;
};


# a request that is lost: it is not looked for again and again

for my $lose ([ 'lost' => sub { unlink $_[0] } ],
              [ 'short' => sub { truncate $_[0], 1000 } ])
{
    my ($how, $do) = @$lose;

    subtest "a $how request" => sub {

        $nginx = NgxAsync->new(locations => locations(),
            http => 'async_queue one concurrency=1;',
            jobs => 'location /jobs/ { async_jobs; }'
                  . "location /one/ { async on queue=one;"
                  . " proxy_pass $backend->{url}; }");

        $nginx->submit('GET', "/one/?token=before&gate=$how");
        my $waits = $nginx->submit('POST', "/one/?token=$how",
                                   body => 'x' x 1_000_000);

        $do->(parts('q')) or die;
        $backend->release($how);

        my $d = $nginx->wait_end($waits);
        is($d->{status}, 'failed', 'the job ends');
        is($d->{error}{code}, 'request_lost', 'and says why');
        is($backend->seen($how), 0, 'nothing of it was sent');
        is_files(0, 'nothing is left of it');

        $nginx->stop;
    };
}


subtest 'room' => sub {

    $nginx = NgxAsync->new(workers => 2, size => '16m',
                           locations => locations());

    my $first = large('first');

    # one that says its length, and one that does not

    for my $length ('', '&length=0') {
        my $id = $nginx->submit('GET', "/fast/?token=much&size=16000000"
                                       . $length);
        is($nginx->wait_end($id)->{error}{code}, 'store_full', 'no room');
        is(result($id)->{status}, 502, 'no result');
        is_files(1, 'nothing is left');
    }

    ok(checked(result($first)->{body}), 'what was there stays');

    my @ids;

    for my $i (1 .. 10) {
        my $r = $nginx->request_to('GET', "/fast/?token=r$i&size=$size");
        push @ids, NgxAsync::uuid($r) if $r->{status} == 202;
        $nginx->wait_end($ids[-1]);
    }

    my $n = grep { $nginx->status($_) eq 'succeeded' } @ids;
    cmp_ok($n, '>=', 2, 'some find room');
    cmp_ok($n, '<=', 4, 'but not more than there is');

    $nginx->request_to('DELETE', "/jobs/$_") for $first, @ids;
    is_files(0, 'all is forgotten');

    large('last');
    $nginx->stop;
};


# a response that cannot be brought to the disk at its end

SKIP: {
    my $dir = $backend->{dir};
    my %sync = NgxAsync::preload($dir)
        or skip 'nothing can be preloaded', 1;

    subtest 'a file that cannot be synced' => sub {
        $nginx = NgxAsync->new(workers => 2, locations => locations(), %sync);

        for ([ EIO, 'store_failed', qr/ store: Input\/output error\.$/ ],
             [ ENOSPC, 'store_full', qr/no room/ ],
             [ EDQUOT, 'store_full', qr/no room/ ])
        {
            my ($errno, $code, $message) = @$_;

            open my $f, '>', "$dir/blob" or die "$dir/blob: $!";
            print $f $errno;
            close $f;

            my $id = $nginx->submit('GET', "/fast/?token=e$errno&size=$size");
            my $error = $nginx->wait_end($id)->{error};

            is($error->{code}, $code, "errno $errno: $code");
            like($error->{message}, $message, 'and says why');
            is(result($id)->{status}, 502, 'no result');
            is_files(0, 'nothing is left');
        }

        unlink "$dir/blob";
        large('synced');
        $nginx->stop;
    };
}


# a disk of its own

SKIP: {
    skip 'a small tmpfs can be mounted by root only', 1 if $> != 0;

    my $mount = NgxAsync::base() . "/tmpfs-$$";
    mkdir $mount or die "$mount: $!";

    if (system('mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', $mount)) {
        rmdir $mount;
        skip 'no tmpfs can be mounted', 1;
    }

    subtest 'a full disk' => sub {
        $nginx = NgxAsync->new(workers => 2, size => '256m',
                               store => "$mount/store",
                               locations => locations());

        my $id = $nginx->submit('GET', "/fast/?token=disk&size=40000000");
        is($nginx->wait_end($id)->{error}{code}, 'store_full', 'no room');
        is_files(0, 'nothing is left');

        ok(wait_until(sub {
            !grep { (readlink // '') =~ m{/blobs/} }
             map { glob "/proc/$_/fd/*" } $nginx->workers
        }), 'nor open');

        large('fits');
        $nginx->stop;
    };

    undef $nginx;
    system('umount', $mount);
    rmdir $mount;
}

done_testing;
