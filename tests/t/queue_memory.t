#!/usr/bin/perl

# A worker that lacks memory when it is to run a job does not take its location
# for one that is gone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(free_port wait_until);
use Test::More;

my $backend = NgxAsync::Backend->new;
my $dir = $backend->{dir};
my $port = free_port();

# the key of the location, and nothing else, is so long

my $size = 1777;
my $server = "localhost 127.0.0.1:$port ";
my $long = '/' . 'x' x ($size - 1 - length $server);

my %memory = NgxAsync::lacking($dir, $size)
    or plan skip_all => 'nothing can be preloaded';

my $nginx = NgxAsync->new(workers => 1, port => $port, %memory,
    http => 'async_queue one concurrency=1;',
    locations => <<"END");
        location $long { async on queue=one; proxy_pass $backend->{url}; }
        location / { async on; proxy_pass $backend->{url}; }
END

my $runs = $nginx->submit('GET', "$long?token=runs&gate=runs");
$backend->wait_for('runs');
my $waits = $nginx->submit('POST', "$long?token=waits");

# another location is the one that was looked for last

my $other = $nginx->submit('GET', '/?token=other&gate=other');
is($nginx->status($other), 'running', 'a job of another location');

open my $f, '>', "$dir/lacks" or die "lacks: $!";
close $f;

$backend->release('runs');

is($nginx->wait_end($waits)->{status}, 'succeeded', 'the job is run');
is($nginx->wait_end($runs)->{status}, 'succeeded', 'the one before it ends');

unlink "$dir/lacks";

$backend->release('other');
is($nginx->wait_end($other)->{status}, 'succeeded', 'and so does the other');

$nginx->stop;

done_testing;
