package Jobs;

# Clients that see every byte, and a backend that answers what its URI says,
# on top of Driver:
#
#     my $t = Jobs->new(http => sub { my ($t) = @_; "..." });
#     my $r = $t->ask(POST => '/uri', headers => ['Prefer: wait=1'],
#                     body => '...');
#     $r->{status}, $r->header('location'), $r->all('set-cookie'), $r->json;
#
#     my $c = $t->begin(GET => '/uri');     # a client that is held
#     $t->release('name');                  # lets the backend answer
#     my $r = $c->finish;
#
# What the backend is told by arguments of the URI:
#
#     s=201           status
#     h=Name:value    a header, any number of times
#     b=text, n=10    the body: this text, or so many bytes
#     hold=name       waits for release('name')
#     half=name       waits for it in the middle of the body
#     cut=1           closes the connection without a response
#     fail=2          answers 503 to the first two requests with this URI

use strict;
use warnings;

use parent 'Driver';

use Driver qw(until_true);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);


sub new
{
    my ($class, %args) = @_;

    $args{dir} //= tempdir(CLEANUP => !$ENV{JOBS_KEEP});
    $args{port} //= Driver::free_port();
    $args{backend} //= backend($args{dir});

    my $http = delete $args{http};

    $args{http} = ref $http ? $http->(\%args) : $http;

    return $class->SUPER::new(%args);
}


sub backend
{
    my ($dir) = @_;

    mkdir "$dir/backend";

    return Driver::backend(sub {
        my ($s) = @_;

        # one process for each connection

        $SIG{CHLD} = 'IGNORE';

        my $pid = fork // return;
        return if $pid;

        serve($dir, $s);
        POSIX::_exit(0);
    });
}


sub serve
{
    my ($dir, $s) = @_;

    my ($head, $body) = Driver::read_request($s);
    my ($method, $uri) = $head =~ /^(\S+) (\S+)/ or return;
    my ($path, $query) = split /\?/, $uri, 2;

    my %arg;

    for (split /&/, $query // '') {
        my ($name, $value) = split /=/, $_, 2;
        $value //= '';
        $value =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;
        push @{$arg{$name}}, $value;
    }

    note_request($dir, $head, $body);

    my $get = sub { $arg{$_[0]} ? $arg{$_[0]}[0] : undef };

    return if $get->('cut');

    wait_for($dir, $s, $get->('hold')) or return;

    my $status = $get->('s') // 200;
    my $fail = $get->('fail');

    if ($fail && requests_in($dir, "$method $uri ") <= $fail) {
        $status = 503;
    }

    my $text = $get->('b');

    $text = 'x' x $get->('n') if $get->('n');
    $text = $head . $body if !defined $text;
    $text = '' if $status == 204 || $status == 304;

    my @headers = @{$arg{h} // []};
    s/^([^:]*):\s*/$1: / for @headers;

    unshift @headers, 'Content-Type: text/plain'
        unless grep { /^content-type:/i } @headers;
    push @headers, 'Content-Length: ' . length $text
        unless $status == 204 || $status == 304
               || grep { /^(content-length|transfer-encoding):/i } @headers;

    my $half = $get->('half');
    my $first = $half ? int(length($text) / 2) : length $text;

    print $s "HTTP/1.1 $status Status\r\n", map("$_\r\n", @headers),
        "Connection: close\r\n\r\n", substr $text, 0, $first;
    $s->flush;

    if ($half) {
        wait_for($dir, $s, $half) or return;
        print $s substr $text, $first;
    }

    close $s;
}


# a client that leaves ends it, too

sub wait_for
{
    my ($dir, $s, $name) = @_;

    return 1 if !defined $name;

    my $end = time + 20;

    while (time < $end) {
        return 1 if -e "$dir/backend/$name";

        if (IO::Select->new($s)->can_read(0.01)
            && !sysread $s, my $buf, 1)
        {
            open my $f, '>', "$dir/backend/left-$name";
            return 0;
        }
    }

    return 0;
}


sub note_request
{
    my ($dir, $head, $body) = @_;

    open my $f, '>>', "$dir/backend.log" or return;
    my ($line) = $head =~ /^(.*?)\r\n/;
    syswrite $f, "$line\n";
}


sub requests_in
{
    my ($dir, $text) = @_;

    open my $f, '<', "$dir/backend.log" or return 0;
    return scalar grep { index($_, $text) == 0 } <$f>;
}


# how many requests the backend has seen that begin with "METHOD URI"

sub requests { requests_in($_[0]{dir}, $_[1]) }


sub release
{
    my ($self, $name) = @_;

    open my $f, '>', "$self->{dir}/backend/$name" or die "$name: $!";
}


# the backend has seen its connection closed while it held a request

sub left
{
    my ($self, $name) = @_;

    return until_true(5, sub { -e "$self->{dir}/backend/left-$name" });
}


sub begin
{
    my ($self, $method, $uri, %args) = @_;

    # a URL of the module's

    if ($uri =~ m{^https?://[^/]*(/.*)}) {
        $uri = $1;
    }

    my $s = $args{unix}
        ? IO::Socket::UNIX->new(Peer => $args{unix})
        : IO::Socket::INET->new(PeerAddr => $args{addr} // '127.0.0.1',
                                PeerPort => $args{port} // $self->{port})
        or die "connect: $!";

    my @headers = @{$args{headers} // []};

    unshift @headers, "Host: localhost:$self->{port}"
        unless $args{no_host} || grep { /^host:/i } @headers;
    push @headers, 'Connection: close'
        unless grep { /^connection:/i } @headers;
    push @headers, 'Content-Length: ' . length $args{body}
        if defined $args{body} && !grep { /^transfer-/i } @headers;

    my $version = $args{version} // '1.1';

    my $text = join "\r\n", "$method $uri HTTP/$version", @headers, '',
        $args{body} // '';

    $text = ($args{before} // '') . $text;

    my $client = bless { socket => $s, text => '', begun => time,
                        timeout => $args{timeout} // 15,
                        head => $method eq 'HEAD' }, 'Jobs::Client';

    $client->put($text);

    return $client;
}


# a client of the worker with this pid, or (negative) of another one; a
# location has to answer with $pid to "GET /worker"

sub begin_in
{
    my ($self, $pid, $method, $uri, %args) = @_;

    for (1 .. 500) {
        my $client = $self->begin(GET => '/worker',
                                  headers => ['Connection: keep-alive']);
        $client->expect(qr/\r\n\r\n\d+\z/);
        my ($its) = $client->{text} =~ /(\d+)\z/;

        if ($pid > 0 ? $its == $pid : $its != -$pid) {
            $client->{text} = '';
            $client->{begun} = time;
            $client->{worker} = $its;

            my $body = $args{body} // '';
            my @headers = ('Host: localhost', @{$args{headers} // []},
                           'Connection: close',
                           'Content-Length: ' . length $body);

            $client->put(join "\r\n", "$method $uri HTTP/1.1", @headers, '',
                         $body);
            return $client;
        }

        $client->leave;
    }

    die "no connection to the worker $pid";
}


sub ask
{
    my ($self, @args) = @_;

    return $self->begin(@args)->finish;
}


# submits; the URL of the job

sub job
{
    my ($self, $method, $uri, %args) = @_;

    my $r = $self->ask($method, $uri, %args);

    if ($r->{status} != 202) {
        fail("$method $uri is accepted");
        diag($r->{text});
        return "/jobs/none";
    }

    return $r->header('operation-location');
}


# the status document of a job when it is as wanted, or the last one seen

sub until
{
    my ($self, $job, $status) = @_;

    my $d;

    until_true(10, sub {
        $d = $self->ask(GET => $job, headers => ['Accept: */*'])->json;
        return $d && $d->{status} =~ /^(?:$status)$/;
    });

    return $d;
}


sub ended { $_[0]->until($_[1], 'succeeded|failed|canceled') }


# submits, and waits for the end

sub done
{
    my ($self, @args) = @_;

    my $job = $self->job(@args);
    $self->ended($job);
    return $job;
}


sub escape
{
    my ($s) = @_;

    $s =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02x', ord $1/ge;
    return $s;
}


package Jobs::Client;

use strict;
use warnings;

use JSON::PP;
use Time::HiRes qw(time);


# reads for as long as the pattern is not there

sub expect
{
    my ($self, $pattern, $seconds) = @_;

    my $end = time + ($seconds // $self->{timeout});
    my $select = IO::Select->new($self->{socket});

    while ($self->{text} !~ $pattern) {
        my $left = $end - time;
        return 0 if $left <= 0 || !$select->can_read($left);

        my $n = sysread $self->{socket}, $self->{text}, 65536,
            length $self->{text};

        if (!$n) {
            $self->{eof} = 1;
            return $self->{text} =~ $pattern;
        }
    }

    return 1;
}


sub put
{
    my ($self, $text) = @_;

    local $SIG{PIPE} = 'IGNORE';
    print { $self->{socket} } $text;
    $self->{socket}->flush;
}


sub leave { close $_[0]{socket} }


# nothing has come, and the connection is open

sub held
{
    my ($self, $seconds) = @_;

    return !$self->expect(qr/./s, $seconds // 0.05) && !$self->{eof};
}


sub finish
{
    my ($self) = @_;

    $self->expect(qr/\0never\0/);
    close $self->{socket};

    return Jobs::Response::parse($self->{text}, $self->{head},
                                 time - $self->{begun}, $self->{eof});
}


package Jobs::Response;

use strict;
use warnings;

use JSON::PP;


sub parse
{
    my ($text, $head, $seconds, $eof) = @_;

    my $self = bless { text => $text, status => 0, headers => [], body => '',
                       time => $seconds, eof => $eof };

    my ($top, $body) = split /\r\n\r\n/, $text, 2;
    my ($line, @headers) = split /\r\n/, $top // '';

    ($self->{status}) = ($line // '') =~ m{^HTTP/1\.[01] (\d+)}
        or return $self;
    $self->{line} = $line;

    $self->{headers} = [ map { [ split /: ?/, $_, 2 ] } @headers ];
    $self->{body} = $body // '';

    if (($self->header('transfer-encoding') // '') eq 'chunked' && !$head) {
        my $out = '';
        my $in = $self->{body};

        $self->{whole} = 0;

        while ($in =~ s/^([0-9a-f]+)\r\n//i) {
            my $n = hex $1;
            if ($n == 0) {
                $self->{whole} = 1;
                last;
            }
            last if length $in < $n + 2;
            $out .= substr $in, 0, $n;
            substr $in, 0, $n + 2, '';
        }

        $self->{body} = $out;
    }

    return $self;
}


# all fields of a name

sub all
{
    my ($self, $name) = @_;

    return map { $_->[1] } grep { lc $_->[0] eq lc $name } @{$self->{headers}};
}


# the value of the one field of this name; several are joined by " + "

sub header
{
    my ($self, $name) = @_;

    my @all = $self->all($name);
    return @all ? join(' + ', @all) : undef;
}


sub names { sort map { lc $_->[0] } @{$_[0]{headers}} }


sub json
{
    my ($self) = @_;

    return eval { decode_json($self->{body}) };
}


1;
