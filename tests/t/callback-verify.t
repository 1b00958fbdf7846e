#!/usr/bin/perl

# Callbacks as the library "standardwebhooks" of npm sees them, also while
# secrets are rotated.  Skipped where there is no node, or no registry to get
# the library from.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Driver qw(free_port until_true backend);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use IPC::Open2;
use JSON::PP;
use MIME::Base64;
use Test::More;

my $library = dirname($ENV{TEST_NGINX_SERVROOT} // '/tmp/ngx_async/x')
    . '/node';

plan skip_all => 'no node' if system('node --version > /dev/null 2>&1');

make_path($library);
copy("$FindBin::Bin/../node/$_", $library)
    for qw(package.json package-lock.json verify.mjs);

if (!-d "$library/node_modules/standardwebhooks"
    && system("cd $library && npm ci --no-audit --no-fund --ignore-scripts "
              . "> npm.log 2>&1"))
{
    plan skip_all => 'the library cannot be installed';
}

my $dir = File::Temp::tempdir(CLEANUP => 1);
my $port = free_port();
my $received = "$dir/received";

my $receiver = backend(sub {
    my ($s) = @_;
    my ($head, $body) = Driver::read_request($s);
    my ($path) = $head =~ /^\S+ (\S+)/ or return;
    my %fields = map { /^([^:]+): *(.*?)\r$/ ? (lc $1, $2) : () }
                     split /\n/, $head;

    open my $f, '>>', $received or die;
    print $f encode_json({ path => $path, headers => \%fields,
                           body => $body }), "\n";
    close $f;

    print $s "HTTP/1.1 204 No Content\r\n\r\n";
});

my @secrets = map { 'whsec_' . encode_base64($_, '') }
                  ('first secret of 24 bytes', 'the second one of them..',
                   'one that is not used yet');

my $nginx = Driver->new(port => $port, dir => $dir, http => <<"END");
    server {
        listen 127.0.0.1:$port;
        async on;
        location /one/ {
            async_callback http://127.0.0.1:$receiver/one;
            async_callback_secret $secrets[0];
            proxy_pass http://127.0.0.1:$port/backend/;
        }
        location /two/ {
            async_callback http://127.0.0.1:$receiver/two;
            async_callback_secret $secrets[1] $secrets[0];
            proxy_pass http://127.0.0.1:$port/backend/;
        }
        location /backend/ { async off; return 200 "d\xc3\xb6ne"; }
        location /jobs/ { async_jobs; }
    }
END

for my $path (qw(one two)) {
    $nginx->submit(POST => "/$path/\xc3\xa4%20\"", body => 'x');
}

until_true(10, sub {
    open my $f, '<', $received or return;
    return 2 == (() = <$f>);
});

open my $f, '<', $received;
my %callback = map { $_->{path} => $_ } map { decode_json($_) } <$f>;

my $pid = open2(my $out, my $in, 'node', "$library/verify.mjs");

my $verify = sub {
    my ($path, $secret, $change) = @_;

    my $c = { %{$callback{$path}}, secret => $secrets[$secret] };
    utf8::decode($c->{body});
    $c->{body} =~ s/succeeded/failed/ if $change;
    print $in encode_json($c), "\n";
    $in->flush;
    chomp(my $line = <$out>);
    return $line;
};

is($verify->('/one', 0), 'ok', 'one secret');
isnt($verify->('/one', 1), 'ok', 'not another one');
isnt($verify->('/one', 0, 1), 'ok', 'not other bytes');
is($verify->('/two', 0), 'ok', 'the old one of two');
is($verify->('/two', 1), 'ok', 'the new one of two');
isnt($verify->('/two', 2), 'ok', 'no third one');

close $in;
waitpid $pid, 0;

$nginx->stop;

done_testing;
