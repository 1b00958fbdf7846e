package Driver;

# Drives a real nginx with the module, for tests that are scenarios rather
# than single requests:
#
#     my $nginx = Driver->new(http => '...', port => $port);
#     my $r = $nginx->request(POST => '/jobs/', body => '...');
#     my $job = $nginx->wait_job($r->{headers}{'operation-location'});
#     $nginx->stop;             # and fails if its log has what it must not
#
# Also free ports and small backends that say byte by byte what they answer.

use strict;
use warnings;

use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

use Exporter 'import';
our @EXPORT_OK = qw(free_port until_true backend certificate);

my @children;


sub free_port
{
    my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
        or die "no port: $!";
    return $s->sockport;
}


# waits for a condition: its value, or nothing when the time is over

sub until_true
{
    my ($seconds, $condition) = @_;

    my $end = time + $seconds;

    while (1) {
        my $value = $condition->();
        return $value if $value || time > $end;
        sleep 0.02;
    }
}


sub new
{
    my ($class, %args) = @_;

    my $self = bless { %args }, $class;

    $self->{dir} //= tempdir(CLEANUP => 1);
    $self->{port} //= free_port();
    $self->{workers} //= 1;

    chmod 0755, $self->{dir};

    my $user = $> == 0 ? 'user root;' : '';
    my $module = $ENV{NGX_ASYNC_MODULE}
        ? "load_module $ENV{NGX_ASYNC_MODULE};" : '';
    my $d = $self->{dir};

    mkdir "$d/$_" for qw(temp);

    open my $f, '>', "$d/nginx.conf" or die "$d/nginx.conf: $!";
    print $f <<"END";
$module
$user
daemon off;
@{[ $self->{main} // "" ]}
worker_processes $self->{workers};
pid $d/nginx.pid;
error_log $d/error.log info;

events {
    worker_connections @{[ $self->{connections} // 1024 ]};
}

http {
    access_log off;
    client_body_temp_path $d/temp/body;
    proxy_temp_path $d/temp/proxy;
    fastcgi_temp_path $d/temp/fastcgi;
    uwsgi_temp_path $d/temp/uwsgi;
    scgi_temp_path $d/temp/scgi;

    async_store $d/store size=256m;
    $self->{http}
}
END
    close $f;

    $self->start if $self->{start} // 1;

    return $self;
}


sub start
{
    my ($self) = @_;

    my $binary = $ENV{TEST_NGINX_BINARY} || 'nginx';
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', "$self->{dir}/out";
        open STDERR, '>&', \*STDOUT;
        exec $binary, '-p', "$self->{dir}/", '-c', 'nginx.conf';
        die "$binary: $!";
    }

    $self->{pid} = $pid;
    $self->{owner} = $$;

    my $up = until_true(10, sub {
        return -1 if waitpid($pid, WNOHANG) == $pid;
        return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $self->{port});
    });

    if (!ref $up) {
        diag($self->log, $self->output);
        die "nginx has not started";
    }
}


sub log
{
    my ($self) = @_;

    open my $f, '<', "$self->{dir}/error.log" or return '';
    local $/;
    return <$f> // '';
}


sub output
{
    my ($self) = @_;

    open my $f, "<", "$self->{dir}/out" or return "";
    local $/;
    return <$f> // "";
}


# HTTP::Tiny's answer; headers of one name that are repeated are an array

sub request
{
    my ($self, $method, $url, %args) = @_;

    $url = "http://127.0.0.1:$self->{port}$url" if $url =~ m{^/};

    my $http = HTTP::Tiny->new(timeout => $args{timeout} // 10,
                               max_redirect => 0, proxy => undef,
                               http_proxy => undef, keep_alive => 0);

    return $http->request($method, $url,
        { headers => $args{headers} // {},
          defined $args{body} ? (content => $args{body}) : () });
}


sub json
{
    my ($self, $url, %args) = @_;

    my $r = $self->request(GET => $url, %args);

    return $r->{status} == 200 ? decode_json($r->{content}) : undef;
}


# submits and gives the URL of the job

sub submit
{
    my ($self, $method, $url, %args) = @_;

    my $r = $self->request($method, $url, %args);

    is($r->{status}, 202, "$method $url is accepted")
        or diag($r->{content});

    return $r->{headers}{'operation-location'};
}


# the status document of a job that has ended

sub wait_job
{
    my ($self, $job, $seconds) = @_;

    return until_true($seconds // 10, sub {
        my $d = $self->json($job);
        return $d && $d->{status} =~ /succeeded|failed|canceled/ ? $d : undef;
    });
}


sub signal
{
    my ($self, $signal) = @_;

    kill $signal, $self->{pid};
}


# gracefully; or with KILL, all of its processes at once

sub stop
{
    my ($self, $signal) = @_;

    return unless $self->{pid} && $self->{owner} == $$;

    my $pid = delete $self->{pid};

    if (($signal // '') eq 'KILL') {
        my @workers = workers_of($pid);

        # the master first, or it would start others

        kill 'KILL', $pid, @workers;
        waitpid $pid, 0;
        until_true(5, sub { !kill 0, @workers });
        return;
    }

    kill 'QUIT', $pid;

    my $gone = until_true(15, sub { waitpid($pid, WNOHANG) == $pid });

    ok($gone, 'nginx exits');

    if (!$gone) {
        kill 'KILL', workers_of($pid), $pid;
        waitpid $pid, 0;
    }

    my @bad = grep { /\[(alert|emerg|crit)\]|ERROR: AddressSanitizer/ }
              split /\n/, $self->log;

    is(join("\n", @bad), '', 'its log is clean');
}


sub workers_of
{
    my ($pid) = @_;

    open my $f, '<', "/proc/$pid/task/$pid/children" or return;
    return split ' ', <$f> // '';
}


sub workers { return workers_of($_[0]{pid}) }


sub DESTROY
{
    my ($self) = @_;

    return unless $self->{pid} && ($self->{owner} // 0) == $$;

    local $?;
    kill 'KILL', workers_of($self->{pid}), $self->{pid};
    waitpid $self->{pid}, 0;
}


# A backend in a process of its own: handler is given each connection and the
# number of it.  Returns its port.

sub backend
{
    my ($handler, %args) = @_;

    my $listen = IO::Socket::INET->new(Listen => 1024, ReuseAddr => 1,
                                       LocalAddr => $args{addr}
                                                    // '127.0.0.1',
                                       LocalPort => $args{port} // 0)
        or die "listen: $!";

    my $parent = $$;
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        my $n = 0;
        $SIG{PIPE} = 'IGNORE';
        $SIG{TERM} = 'DEFAULT';

        # ends with the test, however that ends

        while (getppid == $parent) {
            next unless IO::Select->new($listen)->can_read(1);
            my $s = $listen->accept or next;
            $handler->($s, ++$n);
            close $s;
        }

        POSIX::_exit(0);
    }

    push @children, [$parent, $pid];

    return $listen->sockport;
}


# reads a request: its head and its body of Content-Length

sub read_request
{
    my ($s) = @_;

    my $buf = '';

    while ($buf !~ /\r\n\r\n/) {
        sysread($s, $buf, 65536, length $buf) or return ($buf, '');
    }

    my ($head, $body) = $buf =~ /^(.*?\r\n\r\n)(.*)$/s;
    my ($len) = $head =~ /^content-length: *(\d+)/mi;

    while (defined $len && length $body < $len) {
        sysread($s, $body, 65536, length $body) or last;
    }

    return ($head, $body);
}


# a self-signed certificate: its file and its key's

sub certificate
{
    my ($dir, $name, %args) = @_;

    my ($crt, $key, $csr) = map { "$dir/$name.$_" } qw(crt key csr);
    my $from = $args{from} // '20200101000000Z';
    my $to = $args{to} // '20990101000000Z';

    # only "openssl ca" can be told the times

    open my $f, '>', "$dir/$name.cnf" or die "$dir/$name.cnf: $!";
    print $f <<"END";
[req]
distinguished_name = dn
[dn]
[ca]
default_ca = test
[test]
database = $dir/$name.db
serial = $dir/$name.serial
new_certs_dir = $dir
default_md = sha256
policy = any
[any]
commonName = supplied
[v3]
basicConstraints = CA:true
subjectAltName = DNS:$name
END
    close $f;

    for (['db', ''], ['serial', "01\n"]) {
        open $f, '>', "$dir/$name.$_->[0]" or die "$dir: $!";
        print $f $_->[1];
        close $f;
    }

    for (
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        . " -subj /CN=$name -keyout $key -out $csr -config $dir/$name.cnf",
        "ca -selfsign -batch -notext -startdate $from -enddate $to"
        . " -extensions v3 -keyfile $key -in $csr -out $crt"
        . " -config $dir/$name.cnf")
    {
        my $output = `openssl $_ 2>&1`;
        die "openssl: $output" if $?;
    }

    return ($crt, $key);
}


END {
    for (@children) {
        my ($parent, $pid) = @$_;

        if ($parent == $$) {
            local $?;
            kill 'TERM', $pid;
            waitpid $pid, 0;
        }
    }
}


1;
