#!/usr/bin/perl

# A worker is told to exit while it takes a callback upon itself, or has one in
# line for a receiver that is busy: another worker does it, at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Driver ();
use NgxAsync qw(wait_until slurp);
use Test::More;

my $backend = NgxAsync::Backend->new;
my $dir = $backend->{dir};

my %sync = NgxAsync::preload($dir)
    or plan skip_all => 'nothing can be preloaded';

# Every request that it is sent is a line.  One after the other is answered, and
# none while there is a file "hold".

my $receiver = Driver::backend(sub {
    my ($s) = @_;
    my ($head) = Driver::read_request($s);
    my ($id) = $head =~ /^webhook-id: *(.*?)\r$/mi;

    open my $f, '>>', "$dir/received";
    print $f ($id // 'none'), "\n";
    close $f;

    wait_until(sub { !-e "$dir/hold" }, 25);

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


my $job = $nginx->submit('POST', '/?token=t&gate=t', body => 'x');
$backend->wait_for('t');

# each sync waits: both of the end of the job, and the first of the lease

touch('waits');
$backend->release('t');

for my $what ('pages of the end', 'root of the end') {
    ok(wait_until(sub { -e "$dir/waiting" }, 20), $what);
    touch('waits');
    unlink "$dir/waiting";
}

ok(wait_until(sub { -e "$dir/waiting" }, 20), 'the callback is being leased');
is($nginx->json("/jobs/$job")->{status}, 'succeeded', 'the job has ended');
is(slurp("$dir/received"), '', 'its receiver has not been asked');

sub let_exit
{
    my ($old) = $nginx->workers;

    kill 'HUP', $nginx->{pid};

    ok(wait_until(sub {
        grep { $_ != $old } $nginx->workers
            and $nginx->log =~ / $old#\d+: gracefully/;
    }, 20), 'the worker is to exit');
}


let_exit();
unlink "$dir/waits", "$dir/waiting";

# a lease that was not given back is for a minute

ok(wait_until(sub { slurp("$dir/received") ne '' }, 20 / $NgxAsync::slow),
   'its receiver is asked all the same');

my $d;

ok(wait_until(sub {
    $d = $nginx->json("/jobs/$job");
    return $d->{callback}{status} eq 'delivered';
}, 20), 'it is delivered');

is($d->{callback}{attempts}, 1, 'with one attempt');
is(slurp("$dir/received"), "$job-1\n", 'once');

# a receiver has eight places

touch('hold');

my $port = sprintf '%04X', $receiver;
my @jobs = map { $nginx->submit('GET', "/?token=l$_") } 1 .. 9;

ok(wait_until(sub {
    8 == grep { /^ *\d+: \S+ \S+:$port 01 / } split /\n/, slurp('/proc/net/tcp')
}, 20), 'all places are taken');

$nginx->wait_end($_) for @jobs;

let_exit();
unlink "$dir/hold";

ok(wait_until(sub {
    !grep { $nginx->json("/jobs/$_")->{callback}{status} ne 'delivered' } @jobs
}, 20 / $NgxAsync::slow), 'the one in line is delivered, too');

is(join("\n", sort split /\n/, slurp("$dir/received")),
   join("\n", sort map { "$_-1" } $job, @jobs), 'each once');

$nginx->stop;

done_testing;
