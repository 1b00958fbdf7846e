#!/usr/bin/perl

# post_action: what comes after a call is not a part of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use NgxAsync qw(wait_until request);
use Test::More;

my $backend = NgxAsync::Backend->new;
my $dying = NgxAsync::Backend->new;

my $nginx = NgxAsync->new(
    http => 'async_queue default concurrency=1;',
    locations => <<"END");
        location / {
            async on;
            set \$token \$arg_token;
            set \$after \$arg_after;
            post_action /action;
            proxy_pass $backend->{url};
        }
        location /dying/ {
            async on;
            set \$token \$arg_token;
            set \$after \$arg_after;
            post_action /action;
            proxy_buffering off;
            proxy_pass $dying->{url};
        }
        location = /action {
            internal;
            proxy_method GET;
            proxy_pass $backend->{url}/action?token=action-\$token&gate=\$after;
        }
END

# a call that is whole

my $id = $nginx->submit('GET', '/?token=first&after=later');

ok($backend->wait_for('action-first'), 'it is called after the call');
is($nginx->wait_end($id)->{status}, 'succeeded', 'which has ended');

$id = $nginx->submit('GET', '/?token=second&after=none');
is($nginx->wait_end($id)->{status}, 'succeeded', 'its slot is free');

$backend->release($_) for qw(later none);
ok($backend->wait_for('action-first', 'end'), 'and it goes on');


# one that is canceled

$id = $nginx->submit('GET', '/?token=third&gate=never&after=later');
$backend->wait_for('third');

is(request($nginx->{port}, 'DELETE', "/jobs/$id")->{status}, 202, 'canceled');
ok($backend->wait_for('third', 'closed'), 'the connection is closed');

$id = $nginx->submit('GET', '/?token=fourth&after=later');
is($nginx->wait_end($id)->{status}, 'succeeded', 'its slot is free');


# one that is cut off

$id = $nginx->submit('POST', '/dying/?token=fifth&size=200000&pieces=100'
                             . '&gap=100&after=later');

ok(wait_until(sub {
    ($nginx->json("/jobs/$id")->{progress}{bytes_received} // 0) > 0
}), 'the response has begun');

$dying->stop;

my $d = $nginx->wait_end($id);

is($d->{status}, 'failed', 'half a response is none');
is($d->{error}{code}, 'interrupted', 'and the error says so');

$nginx->stop;

done_testing;
