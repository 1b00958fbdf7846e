#!/usr/bin/perl

# quit, stop, worker_shutdown_timeout, a start that goes on, and an upgrade of
# the binary with jobs running.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until alive request slurp);
use IO::Socket::INET;
use Test::More;

my $backend = NgxAsync::Backend->new;
my $location = "location / { async on; proxy_pass $backend->{url}; }";
my $nginx = NgxAsync->new(workers => 2, locations => $location,
                          http => 'async_queue default concurrency=2;');


sub quits
{
    my (@pids) = ($nginx->{pid}, $nginx->children);

    $nginx->signal('QUIT');

    # no more connections

    wait_until(sub {
        !IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                               PeerPort => $nginx->{port})
    }) or fail('nginx stops to listen');

    return \@pids;
}


# quit waits for the calls that run, and starts none

my @running = map { $nginx->submit('POST', "/?token=run$_&gate=quit") } 1 .. 2;
$backend->wait_for("run$_") for 1 .. 2;
my @waiting = map { $nginx->submit('POST', "/?token=wait$_") } 1 .. 4;

my $pids = quits();

ok(alive($nginx->{pid}), 'quit waits for running calls');

$backend->release('quit');

ok($nginx->ended && $nginx->left($pids), 'and then ends');
ok($backend->seen("run$_", 'end'), 'a running call had its time') for 1 .. 2;
is(scalar(grep { $backend->seen("wait$_") } 1 .. 4), 0,
   'no other call was started');

$nginx->start;

is($nginx->wait_end($_)->{status}, 'succeeded', 'what ran has its result')
    for @running;
is($nginx->wait_end($_)->{status}, 'succeeded', 'what waited runs now')
    for @waiting;


# one who waits in quit is answered at once

my $held = $nginx->submit('GET', '/?token=held&gate=held');
$backend->wait_for('held');

my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                              PeerPort => $nginx->{port});
print $s "GET /jobs/$held/wait HTTP/1.1\r\nHost: localhost\r\n\r\n";

my $t = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                              PeerPort => $nginx->{port});
print $t "GET /?token=keep&gate=held HTTP/1.1\r\nHost: localhost\r\n"
    . "Prefer: respond-async, wait=30\r\n\r\n";
$backend->wait_for('keep');

$pids = quits();

my ($answer, $promise) = map {
    my $sock = $_;
    my $in = '';

    wait_until(sub {
        $sock->blocking(0);
        sysread $sock, $in, 4096, length $in;
        return $in =~ /\r\n\r\n/;
    }, 20);

    $in;
} $s, $t;

like($answer, qr{^HTTP/1.1 303 .*^Location: \S+/jobs/$held/wait\?n=}ms,
     'a waiter is sent to the next hop');
like($promise, qr{^HTTP/1.1 202 }, 'a held client gets its promise');

my ($promised) = $promise =~ /^Async-Id: (\S+)/mi;

$backend->release('held');
ok($nginx->ended && $nginx->left($pids), 'quit ends');

$nginx->start;
is($nginx->wait_end($held)->{status}, 'succeeded', 'the waiter can come back');
is($nginx->wait_end($promised)->{status}, 'succeeded', 'the promise is kept');
is($backend->seen('keep'), 1, 'by one call');


# worker_shutdown_timeout cuts them off

$nginx->stop;
$nginx->configure(main => 'worker_shutdown_timeout 200ms;');
$nginx->start;

my $get = $nginx->submit('GET', '/?token=cutget&gate=cut');
my $post = $nginx->submit('POST', '/?token=cutpost&gate=cut');
$backend->wait_for($_) for 'cutget', 'cutpost';

$pids = quits();
ok($nginx->ended && $nginx->left($pids), 'worker_shutdown_timeout ends it');

$backend->release('cut');
$nginx->configure(main => '');
$nginx->start;

is($nginx->wait_end($get)->{status}, 'succeeded', 'GET runs again');
is($backend->seen('cutget'), 2, 'once');

my $d = $nginx->wait_end($post);
is($d->{status}, 'failed', 'POST does not');
is($d->{error}{code}, 'interrupted', 'it was interrupted');
is($backend->seen('cutpost'), 1, 'and not sent again');


# reload with worker_shutdown_timeout: another worker goes on at once

$nginx->reload(main => 'worker_shutdown_timeout 200ms;');

$get = $nginx->submit('GET', '/?token=reget&gate=re');
$backend->wait_for('reget');
my @old = $nginx->reload;
$nginx->left(\@old) or fail('old workers leave');
ok(wait_until(sub { $backend->seen('reget') == 2 }, 5),
   'a GET that was cut off in a reload is sent again soon');
$backend->release('re');
is($nginx->wait_end($get)->{status}, 'succeeded', 'and ends');

$nginx->reload(main => '');


# stop

$get = $nginx->submit('GET', '/?token=stopget&gate=stop');
$post = $nginx->submit('POST', '/?token=stoppost&gate=stop');
$backend->wait_for($_) for 'stopget', 'stoppost';
my $wait = $nginx->submit('POST', '/?token=stopwait');

$nginx->stop('TERM');
$backend->release('stop');
$nginx->start;

is($nginx->wait_end($get)->{status}, 'succeeded', 'stop: GET runs again');
is($nginx->wait_end($post)->{error}{code}, 'interrupted',
   'stop: POST is interrupted');
is($nginx->wait_end($wait)->{status}, 'succeeded', 'stop: the rest goes on');
is($backend->seen('stopwait'), 1, 'once');


# upgrade: the old binary ends its calls, the new one runs what waits

# (a master whose parent has not changed since its start takes no such signal)

$nginx->stop;
$nginx->configure(daemon => 1,
                  http => 'async_queue default concurrency=16;');
$nginx->start;

my $load = NgxAsync::Load->new($nginx, delay => 300);
wait_until(sub { $load->jobs >= 10 });

@running = map { $nginx->submit('POST', "/?token=up$_&gate=up") } 1 .. 2;
$backend->wait_for("up$_", 'begin', 30) for 1 .. 2;

my $old = $nginx->{pid};
my @workers = $nginx->workers;

my $new = $nginx->upgrade;

ok($new, 'a new binary is started') or BAIL_OUT('no upgrade');

kill 'WINCH', $old;

wait_until(sub { !$nginx->workers($old) }) or fail('old workers leave');

my $n = $load->jobs;
ok(wait_until(sub { $load->jobs > $n + 5 }), 'the new workers accept');

ok(scalar(grep { alive($_) } @workers), 'old workers have calls to end');

$backend->release('up');

ok($nginx->left(\@workers), 'and leave after that');

kill 'QUIT', $old;
ok($nginx->ended, 'the old master leaves');

$nginx->{pid} = $new;

$load->stop;

is($nginx->wait_end($_)->{status}, 'succeeded',
   'a call of the old binary has its result') for @running;
is($backend->seen("up$_"), 1, 'and was one') for 1 .. 2;

NgxAsync::ends_well($load, $backend);

$nginx->stop;

done_testing;
