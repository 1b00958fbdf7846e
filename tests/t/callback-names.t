#!/usr/bin/perl

# Callbacks to names: what counts is the address that is connected to.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Driver ();
use File::Temp qw(tempdir);
use NgxAsync qw(wait_until slurp);
use Test::More;

my $dir = tempdir(CLEANUP => 1);
chmod 0755, $dir;

my %resolve = NgxAsync::resolving($dir)
    or plan skip_all => 'nothing can be preloaded';

# Two receivers of one port: of 127.0.0.2 the prefixes tell, of 127.0.0.1 they
# do not.  What comes to a path with "busy" is to come again.

sub receiver
{
    my ($address, %args) = @_;

    return Driver::backend(sub {
        my ($s) = @_;
        my ($head) = Driver::read_request($s);
        my ($path) = $head =~ /^\S+ (\S+)/ or return;

        open my $f, '>>', "$dir/received";
        print $f "$address $path\n";
        close $f;

        my $status = $path =~ /busy/ ? 503 : 200;
        print $s "HTTP/1.1 $status X\r\nContent-Length: 0\r\n\r\n";
    }, addr => $address, %args);
}

my $port = receiver('127.0.0.1');
receiver('127.0.0.2', port => $port);

sub names
{
    my (%names) = @_;

    open my $f, '>', "$dir/names.new" or die;
    print $f map { "$_ $names{$_}\n" } sort keys %names;
    close $f;
    rename "$dir/names.new", "$dir/names";
}

names('private.test' => '127.0.0.1', 'mapped.test' => '::ffff:127.0.0.1',
      'down.test' => '127.0.0.1 127.0.0.2',
      'several.test' => '127.0.0.3 127.0.0.1 ::1',
      'one.test' => '127.0.0.1 127.0.0.2', 'listed.test' => '127.0.0.2',
      'turns.test' => '127.0.0.2');

my $nginx = NgxAsync->new(%resolve, locations => <<"END");
        location / {
            async on;
            async_callback \$http_x_callback;
            async_callback_allow http://*.test:$port/ http://127.0.0.2:$port/
                                 http://*.test:1/ http://127.0.0.2:1/;
            empty_gif;
        }
END


my $number = 0;

sub call
{
    my ($host, $what) = @_;

    my $path = '/' . ++$number . '/' . ($what // '');

    return ($path, $nginx->submit('GET', '/x',
        headers => [ "X-Callback: http://$host:$port$path" ]));
}


sub callback_of
{
    my ($job, $pattern) = @_;

    return wait_until(sub {
        my $c = $nginx->json("/jobs/$job")->{callback};
        return $c->{status} =~ $pattern ? $c : undef;
    }, 20) // {};
}


sub received
{
    my ($path) = @_;

    return join ' ', slurp("$dir/received") =~ /^(\S+) \Q$path\E$/mg;
}


for my $host (qw(private.test mapped.test several.test)) {
    my ($path, $job) = call($host);
    my $c = callback_of($job, qr/failed/);

    like($c->{last_error}, qr/address_refused/, "$host is refused");
    is($c->{attempts}, 1, "$host: at once");
    is(received($path), '', "$host: nobody was asked");
}


for my $host (qw(listed.test one.test)) {
    my ($path, $job) = call($host);

    is(callback_of($job, qr/delivered/)->{status}, 'delivered',
       "$host: an address that is listed");
    is(received($path), '127.0.0.2', "$host: and no other");
}


# one that may be called but is down

my $later = $nginx->submit('GET', '/x',
                           headers => [ 'X-Callback: http://down.test:1/' ]);
my $c = wait_until(sub {
    my $c = $nginx->json("/jobs/$later")->{callback};
    return $c->{last_error} ? $c : undef;
});

like($c->{last_error}, qr/connect_failed/, 'down.test: no connection');
is($c->{status}, 'pending', 'down.test: it is tried again');


# a name that turns to another address, between two attempts

my ($path, $job) = call('turns.test', 'busy');

ok(wait_until(sub { received($path) }), 'turns.test: the first attempt');

names('turns.test' => '127.0.0.1');
$nginx->reload;

like(callback_of($job, qr/failed/)->{last_error}, qr/address_refused/,
     'turns.test: a later one is refused');
unlike(received($path), qr/127\.0\.0\.1/, 'turns.test: and made to nobody');


$nginx->stop;

done_testing;
