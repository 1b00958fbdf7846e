#!/usr/bin/perl

# Each of the pages: its policy, and that it needs nothing else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(sha256_base64);
use Jobs;
use Test::More;

my $t = Jobs->new(http => sub {
    my ($t) = @_;
    my $pass = "proxy_pass http://127.0.0.1:$t->{backend}/;";
    return <<"END";
    async_queue one concurrency=1;

    server {
        listen 127.0.0.1:$t->{port};
        location /a/ { async on queue=one; $pass }
        location /timeout/ { async on; async_timeout 100ms; $pass }
        location /jobs/ { async_jobs; async_jobs_list all; }
    }
END
});

my @nav = ('Sec-Fetch-Mode: navigate');


# what every page has to have

sub page
{
    my ($r, $status, $name) = @_;

    is($r->{status}, $status, "$name: $status");
    is($r->header('content-type'), 'text/html; charset=utf-8', "$name: HTML");
    is($r->header('cache-control'), 'no-store', "$name: Cache-Control");
    is($r->header('referrer-policy'), 'no-referrer', "$name: Referrer-Policy");
    is($r->header('x-content-type-options'), 'nosniff',
       "$name: X-Content-Type-Options");

    my $csp = $r->header('content-security-policy') // '';

    like($csp, qr/(^|; )default-src 'none'(;|$)/, "$name: default-src");
    like($csp, qr/(^|; )frame-ancestors 'none'(;|$)/, "$name: frame-ancestors");
    like($csp, qr/(^|; )base-uri /, "$name: base-uri");
    like($csp, qr/(^|; )form-action /, "$name: form-action");
    unlike($csp, qr/unsafe-|\*|https?:/, "$name: nothing unsafe, no hosts");

    # scripts and styles are those that the policy names

    for my $tag ('script', 'style') {
        while ($r->{body} =~ m{<$tag>(.*?)</$tag>}sg) {
            my $hash = sha256_base64($1);
            $hash .= '=' while length($hash) % 4;
            ok(index($csp, "$tag-src 'sha256-$hash'") >= 0,
               "$name: the hash of its $tag");
        }
    }

    unlike($r->{body}, qr/<(?:script|style)\s/, "$name: no others");
    unlike($r->{body}, qr/\son\w+=|\sstyle=|javascript:/,
           "$name: nothing inline");

    my @urls = $r->{body} =~ /\s(?:src|href|action)="([^"]*)"/g;

    is(join(' ', grep { m{^\w+:|^//} && !/^data:,$/ } @urls), '',
       "$name: no external requests") unless $name =~ /list/;

    like($r->{body}, qr/^<!DOCTYPE html>\n<html lang="en">/,
         "$name: a document");
    like($r->{body}, qr/<title>[^<]+</, "$name: with a title");
    like($r->{body}, qr/color-scheme:light dark/, "$name: dark and light");
}


my $r = $t->ask(POST => '/a/?hold=p1&q=<script>"&x', body => '',
                headers => \@nav);
is($r->{status}, 303, 'a form');

my $job = $r->header('location');
my ($id) = $job =~ /([^\/]*)$/;
$t->until($job, 'running');

$r = $t->ask(GET => $job, headers => \@nav);
page($r, 200, 'running');
unlike($r->{body}, qr{<form [^>]*hidden}, 'running: a form, to be seen');
like($r->{body}, qr/EventSource/, 'running: is live with scripts');

my $queued = $t->job(GET => '/a/?b=queued');
$r = $t->ask(GET => $queued, headers => \@nav);
page($r, 200, 'queued');

$t->release('p1');
$t->ended($queued);

$r = $t->ask(GET => $queued, headers => \@nav);
page($r, 200, 'done');

my $failed = $t->done(GET => '/timeout/?hold=never');
$r = $t->ask(GET => $failed, headers => \@nav);
page($r, 200, 'failed');

page($t->ask(GET => "$failed/result", headers => \@nav), 504,
     'the result of a timeout');
page($t->ask(GET => '/jobs/none', headers => \@nav), 404, 'no job');
page($t->ask(PUT => $failed, headers => \@nav), 405, 'a wrong method');
page($t->ask(POST => "$failed/retry", body => '', headers => \@nav), 409,
     'no retry');
page($t->ask(POST => "$failed/cancel", body => '',
             headers => [@nav, 'Sec-Fetch-Site: cross-site']), 403,
     'from another site');
page($t->ask(GET => '/jobs/', headers => \@nav), 200, 'the list');

$t->stop;

done_testing;
