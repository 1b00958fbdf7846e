#!/usr/bin/perl

# Work spreads over workers: what one of them has accepted is run by others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use Test::More;

my $t = Jobs->new(workers => 2, http => sub {
    my ($t) = @_;
    return <<"END";
    async_queue default concurrency=6;

    server {
        listen 127.0.0.1:$t->{port};

        location / {
            async on;
            proxy_set_header X-Worker \$pid;
            proxy_pass http://127.0.0.1:$t->{backend}/;
        }

        location = /worker { return 200 \$pid; }
        location /jobs/ { async_jobs; }
    }
END
});

my ($worker, @jobs, %before, %after);

for my $i (1 .. 30) {
    my $c = $t->begin_in($worker // -1, GET => '/?hold=' . ($i <= 6 ? 1 : 2));

    push @jobs, $c->finish->header('operation-location');
    $worker //= $c->{worker};
}

$t->until($_, 'running') for @jobs[0 .. 5];

# the slots get free one after the other, while calls go on

$t->release(1);
$t->ended($_) for @jobs[0 .. 5];
$t->until($_, 'running') for @jobs[6 .. 11];
$t->release(2);

is_deeply([ grep { $t->ended($_)->{status} ne 'succeeded' } @jobs ], [],
          'all of them end');

for (0 .. $#jobs) {
    my ($pid) = $t->ask(GET => "$jobs[$_]/result")->{body}
                =~ /^X-Worker: (\d+)/m;
    $_ < 6 ? $before{$pid}++ : $after{$pid}++;
}

is_deeply(\%before, { $worker => 6 },
          'what can start at once runs where it was accepted');
is(scalar keys %after, 2, 'what waits is run by both workers');
cmp_ok($_, '>=', 2, 'each of them has its part') for values %after;

$t->stop;

done_testing;
