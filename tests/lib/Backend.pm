package Backend;

# A backend whose answers are told by the request itself, and that answers
# many requests at once, each when its test lets it:
#
#     my $backend = Backend->new($dir);
#     $backend->port
#     "/any?gate=NAME"          answers when $backend->open('NAME') was called
#     "/any?status=404"         status of the answer
#     "/any?h=Name:value"       a header field; several are kept in order
#     "/any?size=N"             body of N bytes, "0123456789abcdef..."
#     "/any?half=NAME"          sends half of the body, the rest behind a gate
#     $backend->count('/path')  how often the path was asked for
#
# Without a size the body is "METHOD body-of-the-request".

use strict;
use warnings;

use Driver qw(until_true backend);
use Time::HiRes qw(sleep);


sub new
{
    my ($class, $dir) = @_;

    my $self = bless { dir => "$dir/backend" }, $class;

    mkdir $self->{dir};

    $self->{port} = backend(sub {
        my ($s) = @_;

        # it runs in a process of its own, and each answer in another

        $SIG{CHLD} = 'IGNORE';
        my $pid = fork // die "fork: $!";
        return if $pid;

        CORE::open(STDOUT, '>', '/dev/null');
        CORE::open(STDERR, '>', '/dev/null');

        $self->answer($s);
        close $s;
        POSIX::_exit(0);
    });

    return $self;
}


sub port { return $_[0]->{port} }


sub open
{
    my ($self, $gate) = @_;

    CORE::open(my $f, '>', "$self->{dir}/gate-$gate") or die "$gate: $!";
    close $f;
}


sub count
{
    my ($self, $path) = @_;

    CORE::open(my $f, '<', "$self->{dir}/requests") or return 0;
    return scalar grep { $_ eq "$path\n" } <$f>;
}


sub wait_gate
{
    my ($self, $gate) = @_;

    my $parent = getppid;

    # not longer than the test

    until_true(30, sub {
        return -e "$self->{dir}/gate-$gate" || getppid != $parent;
    });
}


sub body
{
    my ($size) = @_;

    return substr('0123456789abcdef' x ($size / 16 + 1), 0, $size);
}


sub answer
{
    my ($self, $s) = @_;

    my ($head, $body) = Driver::read_request($s);
    my ($method, $path, $query) = $head =~ m{^(\S+) ([^ ?]*)\??(\S*)} or return;

    CORE::open(my $f, '>>', "$self->{dir}/requests") or die "requests: $!";
    syswrite $f, "$path\n";
    close $f;

    my (%args, @fields);

    for (split /&/, $query) {
        my ($name, $value) = split /=/, $_, 2;
        $value =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;
        push @fields, $value if $name eq 'h';
        $args{$name} = $value;
    }

    $self->wait_gate($args{gate}) if $args{gate};

    my $status = $args{status} // 200;
    my $content = $args{size} ? body($args{size}) : "$method $body";
    $content = '' if $status == 204 || $status == 304;

    my $text = "HTTP/1.1 $status Status\r\nConnection: close\r\n";
    $text .= "Content-Length: " . length($content) . "\r\n"
        if $status != 204 && $status != 304;
    $text .= "$_\r\n" for map { s/:/: /r } @fields;
    $text .= "\r\n";

    print $s $text;

    if ($args{half}) {
        $s->flush;
        print $s substr $content, 0, length($content) / 2;
        $s->flush;
        $self->wait_gate($args{half});
        $content = substr $content, length($content) / 2;
    }

    print $s $content;
}


1;
