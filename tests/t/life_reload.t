#!/usr/bin/perl

# Reloads under load, some of which turn "async" off and on, and what happens
# to jobs whose location or server is gone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until request);
use Test::More;

my $backend = NgxAsync::Backend->new;

sub location
{
    my ($uri, $async) = @_;

    return "location $uri { async $async; proxy_pass $backend->{url}; }\n";
}

my $nginx = NgxAsync->new(workers => 2, locations => location('/', 'on'));
my $load = NgxAsync::Load->new($nginx, delay => 300);

my %old;

for my $round (1 .. 20) {

    my $n = $load->lines;

    wait_until(sub { $load->lines >= $n + 8 }, 20)
        or fail("requests are answered in round $round");

    my $async = (qw(on on off off))[$round % 4];

    $old{$_} = 1 for $nginx->reload(locations => location('/', $async));
}

$load->stop;

NgxAsync::ends_well($load, $backend);

ok($load->noted('plain'), 'some requests were no jobs');
ok($nginx->left([keys %old]), 'no worker is left over')
    or diag(map { "$_ " . NgxAsync::slurp("/proc/$_/cmdline") . "\n" }
            grep { NgxAsync::alive($_) } keys %old);
is(scalar $nginx->children, 2, 'as many workers as are configured');


# what waits in the queue while the configuration changes

sub other
{
    return "server { listen 127.0.0.1:$nginx->{port}; server_name other;"
        . ' location /jobs/ { async_jobs; }' . location('/', 'on') . '}';
}

my $http = 'async_queue default concurrency=1;';
my $both = location('/a/', 'on') . location('/b/', 'on');

$nginx->reload(http => $http, locations => $both, servers => other());

my $running = $nginx->submit('GET', '/a/?token=running&gate=g');

$backend->wait_for('running');

my @a = map { $nginx->submit('POST', "/a/?token=a$_") } 1 .. 3;
my @b = map { $nginx->submit('POST', "/b/?token=b$_") } 1 .. 3;

my $r = request($nginx->{port}, 'POST', '/?token=o',
                host => 'other');
my $o = NgxAsync::uuid($r);

is($r->{status}, 202, 'a job of another server');

# "off" stops new ones only

$nginx->reload(locations => location('/a/', 'off') . location('/b/', 'on'));

is($nginx->status($_), 'notStarted', 'still waits') for @a;

$r = $nginx->request_to('GET', '/a/?token=direct');
is($r->{status}, 200, 'no job with async off');

$nginx->reload(locations => location('/a/', 'off'), servers => '');

$backend->release('g');

is($nginx->wait_end($running)->{status}, 'succeeded', 'ran over the reloads');
is($backend->seen('running'), 1, 'once');

is($nginx->wait_end($_)->{status}, 'succeeded', 'runs with async off') for @a;

for (@b) {
    my $d = $nginx->wait_end($_);
    is($d->{status}, 'failed', 'the location is gone');
    is($d->{error}{code}, 'configuration_changed', 'and the error says so');
}

is(scalar(grep { $backend->seen("b$_") } 1 .. 3), 0, 'they never ran');

$r = $nginx->request_to('GET', "/jobs/$b[0]/result");
is($r->{status}, 502, 'they have no result');

$nginx->reload(servers => other());

my $d = wait_until(sub {
    my $d = $nginx->json("/jobs/$o", host => 'other');
    return $d && $d->{status} eq 'failed' ? $d : undef;
});

is($d->{error}{code}, 'configuration_changed', 'the server was gone');


# a queue that is gone: its jobs go to another

$nginx->reload(http => 'async_queue old concurrency=1;',
               locations => 'location / { async on queue=old;'
                            . " proxy_pass $backend->{url}; }");

my $first = $nginx->submit('POST', '/?token=q1&gate=q');
$backend->wait_for('q1');
my $second = $nginx->submit('POST', '/?token=q2');

$nginx->reload(http => 'async_queue new concurrency=2;',
               locations => 'location / { async on queue=new;'
                            . " proxy_pass $backend->{url}; }");

is($nginx->wait_end($second)->{status}, 'succeeded',
   'a job whose queue is gone runs in the new one');

$backend->release('q');
is($nginx->wait_end($first)->{status}, 'succeeded', 'and the first one ends');

$nginx->stop;

is(join(' ', $backend->repeated('POST')), '', 'no POST ran twice');

done_testing;
