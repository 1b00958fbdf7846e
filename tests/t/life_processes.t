#!/usr/bin/perl

# Numbers of workers, one process, accept_mutex, an unprivileged user; and a
# job that is submitted to one worker and read from another.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp qw(tempdir);
use NgxAsync qw(wait_until request alive free_port checked);
use Test::More;

my $backend = NgxAsync::Backend->new;
my $location = "location / { async on; proxy_pass $backend->{url}; }";


sub exercise
{
    my ($nginx, $what) = @_;

    my $load = NgxAsync::Load->new($nginx, clients => 2);

    wait_until(sub { $load->jobs >= 25 }, 30) or fail("$what: accepts");
    $load->stop;

    note($what);
    NgxAsync::ends_well($load, $backend);
}


for my $workers (1, 2, 4) {
    for my $mutex ('off', 'on') {
        my $nginx = NgxAsync->new(workers => $workers,
                                  locations => $location,
                                  events => "accept_mutex $mutex;");

        $nginx->reload;
        exercise($nginx, "$workers workers, accept_mutex $mutex");
        $nginx->stop;
    }
}


# sockets of the workers' own

my $nginx = NgxAsync->new(workers => 2, listen => 'reuseport',
                          locations => $location);
exercise($nginx, 'reuseport');
$nginx->stop;


# one process

$nginx = NgxAsync->new(main => 'master_process off;', single => 1,
                       locations => $location);
exercise($nginx, 'master_process off');

my $id = $nginx->submit('GET', '/?token=single&gate=single');
$backend->wait_for('single');
my $waiting = $nginx->submit('POST', '/other/?token=singlewait&gate=single');

# After SIGHUP such an nginx answers nobody (it has no connections for its new
# configuration), but nothing may be lost.

$nginx->configure(http => 'async_queue default concurrency=3;');
$nginx->signal('HUP');

wait_until(sub {
    $nginx->log =~ /SIGHUP.*?notice\S* \S+ reconfiguring\n.*using the/s
}) or fail('SIGHUP is seen');

$backend->release('single');
$nginx->signal('TERM');
ok($nginx->ended, 'nginx exits');

push @{ $nginx->{log_ok} }, qr/worker_connections are not enough/;
$nginx->clean;
unlike($nginx->log, qr/signal (11|6)\b/, 'it has not crashed');

$nginx->start;

is($nginx->wait_end($id)->{status}, 'succeeded', 'its GET is run again');
like($nginx->wait_end($waiting)->{error}{code} // 'none',
     qr/^(none|interrupted)$/, 'its POST has ended');
is($backend->seen('singlewait'), 1, 'and was sent once');

exercise($nginx, 'after a restart');

$id = $nginx->submit('GET', '/?token=quit1&gate=quit1');
$backend->wait_for('quit1');
$nginx->signal('QUIT');
wait_until(sub { $nginx->log =~ /SIGQUIT/ });
$backend->release('quit1');
ok($nginx->ended, 'nginx exits');

$nginx->start;
is($nginx->wait_end($id)->{status}, 'succeeded', 'no job is lost by quit');
$nginx->stop('TERM');


# root's master, and nobody's workers

SKIP: {
    skip 'only root can change the user', 1 if $> != 0;

    $nginx = NgxAsync->new(workers => 2, user => 'nobody ' . getgrgid((getpwnam 'nobody')[3]),
                           base => File::Spec->tmpdir,
                           locations => $location);

    my ($uid, $mode) = (stat $nginx->store)[4, 2];

    is($uid, (getpwnam 'nobody')[2], "the store is the worker user's");
    is($mode & 07777, 0700, 'and nobody else can look into it');

    exercise($nginx, 'an unprivileged user');
    $nginx->reload;
    $nginx->kill_all;
    $nginx->start;
    exercise($nginx, 'after a restart');
    $nginx->stop;
}


# Two workers: a connection that stays open is one worker's.  Ones are opened
# until both were met; the pid of each is in its answer.

my $pid = 'location = /pid { return 200 $pid; }';

$nginx = NgxAsync->new(workers => 2, locations => "$location $pid");

sub ask
{
    my ($s, $method, $uri) = @_;

    print $s "$method $uri HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Length: 0\r\n\r\n";

    my $in = '';

    while (sysread $s, $in, 65536, length $in) {
        my ($head, $body) = $in =~ /^(.*?\r\n\r\n)(.*)$/s or next;
        my ($length) = $head =~ /^Content-Length: (\d+)/m;

        return ($head, $body) if !defined $length || length $body >= $length;
    }

    return ('', '');
}

my %worker;

wait_until(sub {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                  PeerPort => $nginx->{port}) or return;
    my (undef, $p) = ask($s, 'GET', '/pid');
    $worker{$p} //= $s if $p;
    return keys %worker == 2;
}, 20) or fail('both workers answer');

my ($one, $other) = values %worker;

for my $i (1 .. 5) {

    my ($head) = ask($one, $i % 2 ? 'POST' : 'GET', "/?token=two$i&gate=two$i");
    my ($j) = $head =~ m{^Operation-Location: http://[^/]+(\S+)}m;

    ok($j, 'submitted to one worker') or next;

    my (undef, $body) = ask($other, 'GET', $j);
    like($body, qr/"status":"(notStarted|running)"/, 'polled at the other');

    my $start = Time::HiRes::time();
    my $waiter = fork // die;

    if ($waiter == 0) {
        $backend->wait_for("two$i");
        $backend->release("two$i");
        POSIX::_exit(0);
    }

    ($head, $body) = ask($other, 'GET', "$j/wait");
    like($head, qr{^HTTP/1.1 200 }, 'woken there');
    ok(checked($body), 'with the result');
    cmp_ok(Time::HiRes::time() - $start, '<', 3 * $NgxAsync::slow, 'at once');
    waitpid $waiter, 0;
}

close $_ for $one, $other;

$nginx->stop;

done_testing;
