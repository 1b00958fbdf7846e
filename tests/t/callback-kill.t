#!/usr/bin/perl

# When callbacks begin: after kill -9 between the end of a job and the first
# attempt, and when a job was canceled.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Driver ();
use NgxAsync qw(wait_until request slurp in_background);
use Test::More;

my $backend = NgxAsync::Backend->new;
my $dir = $backend->{dir};

my %sync = NgxAsync::preload($dir)
    or plan skip_all => 'nothing can be preloaded';

# every request that it is sent is a line

my $receiver = Driver::backend(sub {
    my ($s) = @_;
    my ($head) = Driver::read_request($s);
    my ($id) = $head =~ /^webhook-id: *(.*?)\r$/mi;

    open my $f, '>>', "$dir/received";
    print $f ($id // 'none'), "\n";
    close $f;

    print $s "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
});

my $nginx = NgxAsync->new(workers => 1, %sync, locations => <<"END");
        location / {
            async on;
            async_callback http://127.0.0.1:$receiver/;
            proxy_pass $backend->{url};
        }
END


sub touch
{
    my ($name) = @_;
    open my $f, '>', "$dir/$name" or die "$name: $!";
}


# a commit writes its pages, syncs them, and syncs its root then

sub stopped { return wait_until(sub { -e "$dir/waiting" }, 20) }

sub next_sync
{
    touch('waits');
    unlink "$dir/waiting";
}


my $job = $nginx->submit('POST', '/?token=t&gate=t', body => 'x');
$backend->wait_for('t');

my $waiter = in_background(sub {
    my $r = request($nginx->{port}, 'GET', "/jobs/$job?wait=50");

    open my $f, '>', "$dir/told.new" or die;
    print $f $r->{body};
    close $f;
    rename "$dir/told.new", "$dir/told";
});

touch('waits');
$backend->release('t');

ok(stopped(), 'the end of a job is being written');
next_sync();
ok(stopped(), 'its root is');
next_sync();

ok(wait_until(sub { -e "$dir/told" }, 20), 'the job has ended');
like(slurp("$dir/told"), qr/"status":"succeeded".*"status":"pending"/,
     'with a callback to come');

# what leases it is stopped before it can be written

ok(stopped(), 'the callback is about to begin');
is(slurp("$dir/received"), '', 'its receiver has not been asked');

$nginx->kill_all;
unlink "$dir/waits", "$dir/waiting";
is(slurp("$dir/received"), '', 'nor was it until all was killed');

$nginx->start;

my $d;

ok(wait_until(sub {
    $d = $nginx->json("/jobs/$job");
    return $d->{callback}{status} eq 'delivered';
}, 30), 'it is delivered after the restart');

is($d->{status}, 'succeeded', 'the job had ended before');
is($d->{callback}{attempts}, 1, 'with one attempt');
is(slurp("$dir/received"), "$job-1\n", 'once, with the id of the job');
is($backend->seen('t'), 1, 'the call was made once');

# Nothing else is due in this store, so nothing but its end brings the callback
# of a canceled job before the store is swept the next time, in ten seconds.

$job = $nginx->submit('POST', '/?token=c&gate=c', body => 'x');
$backend->wait_for('c');

is(request($nginx->{port}, 'DELETE', "/jobs/$job")->{status}, 202,
   'a job is canceled');
ok(wait_until(sub { slurp("$dir/received") =~ /^$job-/m }, 7),
   'its callback is not waited for');

$nginx->stop;

done_testing;
