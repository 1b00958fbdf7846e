package Fidelity;

# The same request three times: with "async off", held, and as a job whose
# result is fetched.  What the client gets must be the same.
#
#     my $f = Fidelity->new(locations => '...', backend => \&handler);
#     $f->same('a name', GET => '/uri', headers => [...], body => '...');
#
# X-Mode chooses: none, hold or keep; the three words are of one length, so
# that nothing else differs.  With "plain => [a => 'b']", what goes to /a/ with
# the other two goes to /b/ with none.
#
# "to" is a port, the path of a unix socket, an address with a port, or code
# that is given the bytes to send and returns the answer.  Names in "exact" are
# those of fields that the stored response is to have unchanged, too.

use strict;
use warnings;

use Driver qw(free_port until_true backend certificate);
use File::Temp qw(tempdir);
use IO::Socket::IP;
use IO::Socket::UNIX;
use Test::More;

use Exporter 'import';
our @EXPORT_OK = qw(exchange parse unchunk module);

my $slow = ($ENV{ASAN_OPTIONS} || $ENV{VALGRIND_OPTS}) ? 4 : 1;

# what the contract lets J/result have otherwise
my %other = map { $_ => 1 } qw(date connection keep-alive transfer-encoding
    content-length cache-control expires pragma age set-cookie retry-after
    asyncresult async-status referrer-policy x-content-type-options
    content-security-policy accept-ranges etag last-modified location
    content-location trailer server);


sub new
{
    my ($class, %args) = @_;

    my $self = bless { %args }, $class;

    $self->{port} = free_port();
    $self->{back} = backend($args{backend} // \&echo) unless $args{back};
    $self->{dir} = tempdir(CLEANUP => 1);
    chmod 0755, $self->{dir};

    my $listen = $args{listen} ? $args{listen}->($self) : '';
    my $locations = $args{locations}->($self);
    my $http = $args{http} ? $args{http}->($self) : '';

    $self->{nginx} = Driver->new(port => $self->{port}, dir => $self->{dir},
        main => $args{main}, http => <<"END");
    map \$http_x_mode \$mode {
        hold  on;
        keep  on;
    }

    async_wait 60s;
    async_max_response_size 0;
    client_max_body_size 64m;
    $http

    server {
        listen 127.0.0.1:$self->{port};
        $listen
        server_name localhost;
        async \$mode;

        $locations

        location /jobs/ { async_jobs; }
    }
END

    return $self;
}


# answers with the request as it came

sub echo
{
    my ($s) = @_;

    my ($head, $body) = Driver::read_request($s);
    my $text = $head . $body;

    print $s "HTTP/1.1 200 OK\r\nX-Echo: yes\r\nContent-Length: ",
        length $text, "\r\nConnection: close\r\n\r\n", $text;
}


# the path of a dynamic module of this nginx, if there is one

sub module
{
    my ($name) = @_;

    return unless ($ENV{TEST_NGINX_BINARY} // '/usr/sbin/nginx')
        eq '/usr/sbin/nginx';

    my $file = "/usr/lib/nginx/modules/$name.so";

    return -e $file ? "load_module $file;\n" : undef;
}


# sends exactly these bytes, returns all that comes until the end

sub exchange
{
    my ($to, $text) = @_;

    return $to->($text) if ref $to;

    my ($host, $port) = $to =~ /^\[(.*)\]:(\d+)$/ ? ($1, $2)
                                                  : ('127.0.0.1', $to);
    my $s = $to =~ m{^/}
        ? IO::Socket::UNIX->new(Peer => $to)
        : IO::Socket::IP->new(PeerHost => $host, PeerPort => $port);
    die "connect to $to: $!" unless $s;

    my $end = time + 60 * $slow;
    my ($in, $sent) = ('', 0);
    local $SIG{PIPE} = 'IGNORE';

    $s->blocking(0);

    while (1) {
        my ($read, $write) = ('', '');
        vec($read, fileno $s, 1) = 1;
        vec($write, fileno $s, 1) = 1 if $sent < length $text;

        my $left = $end - time;
        return "$in (and then nothing)" if $left <= 0;

        select $read, $write, undef, $left;

        if ($sent < length $text && vec $write, fileno $s, 1) {
            my $n = syswrite $s, $text, 1 << 18, $sent;
            $sent = defined $n ? $sent + $n
                : $!{EAGAIN} ? $sent : length $text;
        }

        if (vec $read, fileno $s, 1) {
            my $n = sysread $s, $in, 1 << 18, length $in;
            return $in if !defined $n && !$!{EAGAIN} || defined $n && !$n;
        }
    }
}


# status, [[name, value], ...], body

sub parse
{
    my ($answer) = @_;

    my ($head, $body) = $answer =~ /^(.*?)\r\n\r\n(.*)$/s
        or return (0, [], '');
    my ($line, @lines) = split /\r\n/, $head;
    my ($status) = $line =~ /^HTTP\S+ (\d+)/;
    my @fields = map { [ /^([^:]+): *(.*)$/ ] } @lines;

    $body = unchunk($body)
        if grep { lc $_->[0] eq 'transfer-encoding' } @fields;

    return ($status // 0, \@fields, $body);
}


sub unchunk
{
    my ($in) = @_;

    my ($out, $pos) = ('', 0);

    while (1) {
        pos($in) = $pos;
        last unless $in =~ /\G([0-9a-f]+)\r\n/gci;
        my $n = hex $1;
        last unless $n;
        $out .= substr $in, pos $in, $n;
        $pos = pos($in) + $n + 2;
    }

    return $out;
}


sub text
{
    my ($self, $mode, $method, $uri, %o) = @_;

    my $body = $o{body};
    my @headers = @{ $o{headers} // [] };

    if ($mode eq 'none' && $self->{plain}) {
        my ($from, $to) = @{ $self->{plain} };
        $uri =~ s{^/$from/}{/$to/};
    }

    push @headers, 'Prefer: respond-async' if $mode eq 'keep';

    if (defined $body && $o{chunked}) {
        push @headers, 'Transfer-Encoding: chunked';

        my $size = $o{chunked};
        my $all = '';

        for (my $i = 0; $i < length $body; $i += $size) {
            my $piece = substr $body, $i, $size;
            $all .= sprintf("%x\r\n", length $piece) . $piece . "\r\n";
        }

        $body = $all . "0\r\n\r\n";

    } elsif (defined $body) {
        push @headers, 'Content-Length: ' . length $body;
    }

    return join "\r\n", "$method $uri HTTP/" . ($o{version} // '1.1'),
        'Host: ' . ($o{host} // 'localhost'), "X-Mode: $mode", @headers,
        ($o{open} ? () : 'Connection: close'), '', $body // '';
}


# what may differ between two equal answers; where a chunk ends is a matter of
# time

sub normal
{
    my ($answer) = @_;

    $answer =~ s/^(Date): .*?\r\n/$1: then\r\n/img;
    if ($answer =~ /^HTTP.*?\r\nTransfer-Encoding: chunked\r\n.*?\r\n\r\n/s
        && $answer =~ /\r\nConnection: close\r\n/)
    {
        my ($head, $body, $end)
            = $answer =~ /^(.*?\r\n\r\n)(.*)(\r\n0\r\n.*)$/s;

        if (defined $end) {
            $body = unchunk("$body\r\n0\r\n");
            $answer = join '', $head, sprintf("%x", length $body), "\r\n",
                $body, $end;
        }
    }

    $answer =~ s/X-Mode: (?:none|hold|keep)/X-Mode: mode/ig;

    return $answer;
}


sub held
{
    my ($self, $name, $method, $uri, %o) = @_;

    my $to = $o{to} // $self->{port};
    my $plain = exchange($to, $self->text('none', $method, $uri, %o));
    my $held = exchange($to, $self->text('hold', $method, $uri, %o));

    is_text(normal($held), normal($plain), "$name: held");

    return $plain;
}


sub stored
{
    my ($self, $name, $plain, $method, $uri, %o) = @_;

    my $to = $o{to} // $self->{port};
    my ($status, $fields)
        = parse(exchange($to, $self->text('keep', $method, $uri, %o)));

    is($status, 202, "$name: accepted") or return;

    my ($job) = map { $_->[1] } grep { lc $_->[0] eq 'operation-location' }
        @$fields;
    my ($path) = $job =~ m{^https?://[^/]+(/.*)};

    my $answer = exchange($to, "GET $path/result?wait=50 HTTP/1.1\r\n"
                          . "Host: localhost\r\nConnection: close\r\n\r\n");

    my ($got, $gf, $gb) = parse(normal($answer));
    my ($want, $wf, $wb) = parse(normal($plain));

    is($got, $want, "$name: status of the result");
    is_text($self->lines($gf), $self->lines($wf),
            "$name: headers of the result");
    is_text($gb, $wb, "$name: body of the result");
}


sub same
{
    my ($self, $name, @request) = @_;

    my $plain = $self->held($name, @request);

    $self->stored($name, $plain, @request)
        unless $request[0] eq 'HEAD'
            || { @request[2 .. $#request] }->{held_only};

    return $plain;
}


sub lines
{
    my ($self, $fields) = @_;

    my %exact = map { $_ => 1 } @{ $self->{exact} // [] };

    return join '', map { "$_->[0]: $_->[1]\n" }
        grep { !$other{lc $_->[0]} || $exact{lc $_->[0]} } @$fields;
}


# "is" for what may be megabytes

sub is_text
{
    my ($got, $want, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 2;

    return is($got, $want, $name)
        if length $got < 20000 && length $want < 20000;

    return ok($got eq $want, $name)
        || diag(length($got), ' bytes instead of ', length $want);
}


1;
