#!/usr/bin/perl

# A store that becomes unreadable under a running nginx: what does not need it
# is served, what does is refused, and nothing is lost.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Fcntl qw(:DEFAULT :seek);
use NgxAsync qw(wait_until);
use Test::More;

my $backend = NgxAsync::Backend->new;
my $nginx = NgxAsync->new(locations => <<"END");
    location = /plain { return 200 "plain\\n"; }
    location / { async on; proxy_pass $backend->{url}; }
END

my $data = $nginx->store . '/data.mdb';
my $id = $nginx->submit('POST', '/?token=kept');

is($nginx->wait_end($id)->{status}, 'succeeded', 'a job before');

rename $data, "$data.aside" or die "$data: $!";
open my $f, '>', $data or die "$data: $!";
print $f 'x' x 65536;
close $f;

push @{ $nginx->{log_ok} }, qr/cannot be opened: data\.mdb is damaged/,
    qr/a submission could not be stored/;

my ($old) = $nginx->workers;
$nginx->kill_worker($old);

my $plain = wait_until(sub {
    my $r = $nginx->request_to('GET', '/plain');
    return $r && ($r->{status} // 0) == 200 ? $r : undef;
}, 20);

is($plain && $plain->{body}, "plain\n", 'what needs no store is served');

my $r = $nginx->request_to('POST', '/?token=refused');
is($r->{status}, 500, 'a submission is refused');
like($r->{body}, qr/"type":"urn:/, 'with a problem');
is($nginx->request_to('GET', "/jobs/$id")->{status}, 500,
   'a job cannot be read');
is($backend->seen('refused'), 0, 'and nothing was sent');

is(-s $data, 65536, 'the damaged file is left alone');

rename "$data.aside", $data or die "$data: $!";

ok(wait_until(sub {
       $nginx->request_to('GET', "/jobs/$id/result")->{status} == 200;
   }, 20),
   'the store is back without a restart, with its job');

is($nginx->wait_end($nginx->submit('POST', '/?token=again'))->{status},
   'succeeded', 'and takes jobs again');

# takes places of workers, of which there are 1024

sub take
{
    my ($from, $n) = @_;

    my $lock = pack "s s x4 q q l x4", F_WRLCK, SEEK_SET, $from, $n, 0;
    fcntl $f, 37, $lock or die "F_OFD_SETLK: $!";
}


# many processors, and workers of old configurations

open $f, '+<', $nginx->store . '/shared.1' or die "shared.1: $!";
take(1, 999);
$nginx->reload(workers => 2);

my $places = $nginx->request_to('GET', '/?token=places')->{status} == 202;
ok($places, 'there are places for more than 1000 workers');

for my $i (1 .. ($places ? 20 : 0)) {
    my $id = $nginx->submit('GET', "/?token=many$i&gate=many$i");
    $backend->wait_for("many$i");
    is($nginx->request_to('DELETE', "/jobs/$id")->{status}, 202,
       'a job is canceled') if $i % 2;
    $backend->release("many$i");
    like($nginx->wait_end($id)->{status}, $i % 2 ? qr/canceled/ : qr/succeeded/,
         'it ends');
}

$nginx->reload(workers => 1);

# they may have all the places that there are

push @{ $nginx->{log_ok} }, qr/all \d+ places for workers .* are taken/,
    qr/cannot be opened: this worker could not join/;

take(1, 1023);
$nginx->reload;

is($nginx->request_to('GET', '/plain')->{body}, "plain\n",
   'a worker without a place serves what needs none');
is($nginx->request_to('POST', '/?token=nowhere')->{status}, 500,
   'a submission is refused');
is($nginx->request_to('GET', "/jobs/$id")->{status}, 500,
   'a job cannot be read');
is($backend->seen('nowhere'), 0, 'and nothing was sent');

close $f;

ok(wait_until(sub {
       $nginx->request_to('GET', "/jobs/$id")->{status} == 200;
   }, 20),
   'it gets a place when there is one');

is($nginx->wait_end($nginx->submit('POST', '/?token=place'))->{status},
   'succeeded', 'and takes jobs');

$nginx->stop;
$backend->stop;

done_testing;
