#!/usr/bin/perl

# A store that becomes unreadable under a running nginx: what does not need it
# is served, what does is refused, and nothing is lost.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

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

$nginx->stop;
$backend->stop;

done_testing;
