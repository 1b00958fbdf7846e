package Clients;

# Runs a program of tests/clients, whose output is the test's:
#
#     Clients::run('lro', needs => 'npm');

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

# more than any of them takes on a busy machine
my $seconds = 300;


# needs: "npm", the packages of tests/clients/package.json; or a program

sub run
{
    my ($name, %args) = @_;

    my $dir = abs_path(dirname(__FILE__) . '/../clients');

    for my $need ('node', @{ $args{needs} // [] }) {
        plan skip_all => "without $need: run \"make clients\""
            unless $need eq 'npm'
                   ? -e(($ENV{NGX_ASYNC_CLIENTS} // '') . '/installed')
                   : grep { -x "$_/$need" } split /:/, $ENV{PATH};
    }

    open my $out, '-|', 'timeout', '-k', '10', $seconds, 'node',
        '--test-reporter=tap', "$dir/$name.mjs"
        or die "timeout: $!";

    $| = 1;
    my ($failed, $inside);

    while (<$out>) {

        # blocks of YAML that not every reader of TAP can read

        if (/^\s*---$/) {
            $inside = 1;

        } elsif ($inside) {
            $inside = 0 if /^\s*\.\.\.$/;
            print STDERR "# $_" if $failed && $inside;

        } else {
            $failed = /^\s*not ok/;
            print STDERR "# $name: $_" if $failed;
            print;
        }
    }

    close $out;
    exit($? >> 8 || $? & 127);
}


1;
