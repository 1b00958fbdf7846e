package AsyncSocket;

# Test::Nginx::Socket for the module: single behaviours as blocks of data.
#
#     use AsyncSocket;
#     run_tests();
#
# Each block is one nginx with a store of its own.  Unless the block says
# otherwise:
#
#     --- http_config           has async_store, and these upstreams:
#         http://backend            a server of the same nginx, which answers
#                                   "METHOD URI", or to "/body" with the
#                                   request's body
#         http://silent             accepts, and never answers
#     --- backend               further locations of that backend
#     --- config                "location /" passes to the backend with
#                               "async on"; "location /jobs/" has async_jobs,
#                               and is there in any config that has no
#                               async_jobs of its own
#     --- no_error_log, --- no_shutdown_error_log
#                               [alert], and [crit] and [emerg]
#
# A "return" in a location answers before the module sees the request, so the
# locations of the tests pass to a backend.
#
# Further sections, for the job that the response told of:
#
#     --- job                   requests that are sent after the response (the
#     GET result?wait=5         last one of several), one on each line; their
#     DELETE                    targets are in the job, or begin with "/"
#     --- job_more_headers      headers of each of them
#     --- job_code: 200 204     a code for each
#     --- job_headers, job_headers_like, job_raw_headers_like,
#         job_raw_headers_unlike, job_body, job_body_like, job_body_unlike
#                               as response_headers and so on; for several
#                               requests arrays, where undef checks nothing;
#                               "$id" is the job's id
#     --- ids: a a b -          the jobs of several responses: the same letter
#                               is the same job, another one is another, and
#                               "-" is no job
#
# A section that is none of those that are listed here ends the run.

use strict;
use warnings;

use HTTP::Response;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

# on ports of its own: neither well-known, nor given to clients

BEGIN {
    my $port;

    for (1 .. 100) {
        $port = 12000 + int rand 18000;
        last if IO::Socket::INET->new(Listen => 1, LocalPort => $port);
    }

    $ENV{TEST_NGINX_PORT} //= $port;
    $ENV{TEST_NGINX_FAST_SHUTDOWN} //= 1;
}

use Test::Nginx::Socket ();
use Test::Nginx::Util ();

my @sections = qw(
    name description backend http_config config user_files
    request more_headers raw_request pipelined_requests http09
    error_code error_code_like response_headers response_headers_like
    raw_response_headers_like raw_response_headers_unlike
    response_body response_body_like response_body_unlike
    error_log no_error_log no_shutdown_error_log grep_error_log
    grep_error_log_out access_log no_access_log must_die
    tcp_listen tcp_query tcp_query_len tcp_reply
    abort timeout ignore_response skip_nginx skip_eval ONLY SKIP LAST
    job job_more_headers job_code job_headers job_headers_like
    job_raw_headers_like job_raw_headers_unlike job_body job_body_like
    job_body_unlike ids
);

# what the checks of Test::Nginx are called there

my %checks = (
    job_code => 'error_code',
    job_headers => 'response_headers',
    job_headers_like => 'response_headers_like',
    job_raw_headers_like => 'raw_response_headers_like',
    job_raw_headers_unlike => 'raw_response_headers_unlike',
    job_body => 'response_body',
    job_body_like => 'response_body_like',
    job_body_unlike => 'response_body_unlike',
);

my $http = <<'END';
    upstream backend {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }

    upstream silent {
        server 127.0.0.1:$TEST_NGINX_SILENT_PORT;
    }
END

my $store = "async_store \$TEST_NGINX_SERVER_ROOT/async_cache;\n";

my $backend = <<'END';
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;

        location / {
            return 200 "$request_method $request_uri\n";
        }

        location = /body {
            proxy_set_header Body $request_body;
            proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/said;
        }

        location = /said {
            return 200 $http_body;
        }
END

my $config = <<'END';
        location / {
            async on;
            proxy_pass http://backend;
        }
END

my $jobs = <<'END';
        location /jobs/ {
            async_jobs;
        }
END

my ($response, @ids, $ran);


sub import
{
    strict->import;
    warnings->import;

    @_ = ('Test::Nginx::Socket', 'no_plan');
    goto &{ Test::Nginx::Socket->can('import') };
}


# open for as long as the test runs

our $silent = IO::Socket::INET->new(Listen => 128,
                                    LocalAddr => '127.0.0.1')
    or die "no port: $!";
$ENV{TEST_NGINX_SILENT_PORT} = $silent->sockport;

Test::Nginx::Socket::no_root_location();
Test::Nginx::Socket::log_level('info');
Test::Nginx::Socket::timeout(10);
Test::Nginx::Socket::worker_connections(256);

# hooks are not given the headers of a response

{
    my $parse = \&Test::Nginx::Socket::parse_response;
    no warnings 'redefine';

    *Test::Nginx::Socket::parse_response = sub ($$$) {
        my @parsed = $parse->(@_);
        $response = $parsed[0];
        return @parsed;
    };
}


Test::Nginx::Socket::add_block_preprocessor(sub {
    my ($block) = @_;
    my $name = $block->name;
    my %seen;

    for my $section (@{ $block->_section_order }) {
        Test::Nginx::Util::bail_out("$name - what is --- $section?")
            unless grep { $_ eq $section } @sections;

        Test::Nginx::Util::bail_out("$name - --- $section without --- job")
            if $checks{$section} && !defined $block->job;

        Test::Nginx::Util::bail_out("$name - two sections --- $section")
            if $seen{$section}++;
    }

    my $all = $block->http_config // '';

    $all = "$store$all" if $all !~ /\basync_store\b/;

    $block->set_value(http_config => $all . $http . $backend
                                     . ($block->backend // '') . "}\n");

    $all = $block->config // $config;
    $all .= $jobs if $all !~ /\basync_jobs;/;

    $block->set_value(config => $all);

    $block->set_value(no_error_log => "[alert]\n[crit]\n[emerg]")
        if !defined $block->no_error_log && !defined $block->must_die;
    $block->set_value(no_shutdown_error_log => "[alert]\n[crit]")
        if !defined $block->no_shutdown_error_log
           && !defined $block->must_die;

    $block->set_value(suppress_stderr => 1) if defined $block->must_die;

    @ids = ();
    $response = undef;
    $ran = 0;
});


Test::Nginx::Socket::add_response_body_check(sub {
    my ($block, undef, $i, undef, $dry_run) = @_;

    return if $dry_run;

    push @ids, ($response && $response->header('Async-Id')) || '-';

    my $requests = $block->pipelined_requests // $block->request;
    my $n = ref $requests eq 'ARRAY' ? @$requests : 1;

    return if $i < $n - 1;

    check_ids($block) if defined $block->ids;
    check_job($block) if defined $block->job;

    $ran = 1;
});


Test::Nginx::Socket::add_test_cleanup_handler(sub {
    my ($block) = @_;

    return if $ran || (!defined $block->job && !defined $block->ids)
              || defined $block->SKIP;

    Test::More::fail($block->name . ' - the job was looked at');
});


# the ids of the responses, as letters in the order in which they came

sub check_ids
{
    my ($block) = @_;

    my ($wanted, $got) = map { letters(@$_) } [split ' ', $block->ids], \@ids;

    Test::More::is($got, $wanted, $block->name . ' - ids of the jobs');
}


sub letters
{
    my (%letters, @all);

    my $next = 'a';

    for (@_) {
        $letters{$_} //= $next++ if $_ ne '-';
        push @all, $letters{$_} // '-';
    }

    return "@all";
}


sub check_job
{
    my ($block) = @_;

    my $name = $block->name . ' - job';
    my $id = $response && $response->header('Async-Id');

    if (!defined $id) {
        Test::More::fail("$name: the response told of one");
        return;
    }

    my ($job) = map { m{^https?://[^/]+(/.*\Q$id\E)} ? $1 : () }
                map { scalar($response->header($_)) // '' }
                    qw(Operation-Location Location);
    $job //= "/jobs/$id";

    my @requests = grep { /\S/ } split /\n/, $block->job;
    my $i = 0;

    for (@requests) {
        my ($method, $uri) = split;

        $uri = !defined $uri ? $job
               : $uri =~ m{^/} ? $uri
               : $uri =~ /^\?/ ? "$job$uri" : "$job/$uri";

        check_answer($block, "$name: $_", $id, $i++, @requests > 1,
                     send_request($block, $method, $uri));
    }
}


# with what Test::Nginx itself checks responses with

sub check_answer
{
    my ($block, $name, $id, $i, $several, $text, $head) = @_;

    my ($res, $raw) = Test::Nginx::Socket::parse_response($name, $text, $head);

    my $checks = Test::Base::Block->new;
    $checks->set_value(name => $name);

    for my $section (keys %checks) {
        my $value = $block->$section;
        next if !defined $value;

        if ($section eq 'job_code') {
            $value = (split ' ', $value)[$i];

        } elsif ($several) {
            Test::Nginx::Util::bail_out("$name - --- $section is no array")
                if ref $value ne 'ARRAY';
            $value = $value->[$i];
        }

        next if !defined $value;

        $value =~ s/\$id\b/$id/g if !ref $value;
        $checks->set_value($checks{$section} => $value);
    }

    my @args = ($checks, $res, 0, 0, 0);

    no strict 'refs';
    local @Test::Nginx::Socket::ResponseBodyChecks;

    &{'Test::Nginx::Socket::check_error_code'}(@args);
    &{'Test::Nginx::Socket::check_raw_response_headers'}($checks, $raw, 0, 0,
                                                         0);
    &{'Test::Nginx::Socket::check_response_headers'}($checks, $res, $raw, 0,
                                                     0, 0);
    &{'Test::Nginx::Socket::check_response_body'}($checks, $res, 0, 0, 0, 0);
}


# all of the response

sub send_request
{
    my ($block, $method, $uri) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort =>
                                  Test::Nginx::Socket::server_port())
        or return '', 0;

    my @headers = map { s/\s+$//r } grep { /\S/ }
                  split /\n/, $block->job_more_headers // '';

    print $s join "\r\n", "$method $uri HTTP/1.1", 'Host: localhost',
        'Connection: close', @headers, '', '';
    $s->flush;

    my $end = time + 30;
    my $text = '';

    while (IO::Select->new($s)->can_read($end - time)) {
        sysread $s, $text, 65536, length $text or last;
    }

    return $text, $method eq 'HEAD';
}


1;
