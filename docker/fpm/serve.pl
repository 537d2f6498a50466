#!/usr/bin/perl
# Starts php-fpm on a socket that is ours, so that its stop loses no request:
#   serve.pl ADDRESS php-fpm …        ADDRESS as in php-fpm's `listen`: 0.0.0.0:9000 or /run/php.sock
#
# php-fpm by itself stops in a bad order. On SIGQUIT its idle workers go at once, but its master goes on listening until the last busy
# worker is done. Who connects meanwhile is let in by the kernel and met by nobody, and is thrown out in the end: a load balancer sees
# a request that was sent and a connection that closed, and may not send a POST a second time. Here listening ends first: who comes now
# is refused, which is no risk to anybody, and cornac asks another member.
#
# Perl, and of it only what perl-base has, which is in every Debian; php's command line could not do this without extensions.
use strict;
use warnings;
use POSIX qw(:signal_h WNOHANG);
use Socket;

# Signals are waited for in one place, below, so that none comes too early or between two looks.
my %told;
my @signals = qw(QUIT TERM INT USR1 USR2 CHLD);
my $signals = POSIX::SigSet->new(map { POSIX->can("SIG$_")->() } @signals);
sigprocmask(SIG_BLOCK, $signals);
$SIG{$_} = sub { $told{ $_[0] } = 1 } for @signals;

my ($address, @command) = @ARGV;
die "usage: serve.pl ADDRESS COMMAND …\n" unless @command;
$^F = 100;    # php-fpm inherits what is opened from here on

my ($listener, $port);
if ($address =~ m{^/}) {
    socket($listener, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!\n";
    unlink $address;    # of an earlier run
    my $mask = umask 0111;    # 0666: whoever has the volume may connect
    bind($listener, pack_sockaddr_un($address)) or die "bind $address: $!\n";
    umask $mask;
} else {
    (my $host, $port) = $address =~ /^([\d.]+):(\d+)$/ or die "not an address: $address\n";
    socket($listener, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    setsockopt($listener, SOL_SOCKET, SO_REUSEADDR, 1);
    bind($listener, pack_sockaddr_in($port, inet_aton($host))) or die "bind $address: $!\n";
}
listen($listener, 511) or die "listen on $address: $!\n";
$ENV{FPM_SOCKETS} = "$address=" . fileno $listener;    # php-fpm's own way to hand sockets over

my $php = fork // die "fork: $!\n";
if ($php == 0) {
    $SIG{$_} = 'DEFAULT' for @signals;
    sigprocmask(SIG_UNBLOCK, $signals);
    exec { $command[0] } @command or die "$command[0]: $!\n";
}

# How many are let in by the kernel and not yet met by a worker (tcp(7): of a listening socket, TCP_INFO's tcpi_unacked says that).
sub waiting {
    use constant TCP_INFO => 11;
    return unpack 'x24 L', getsockopt($listener, Socket::IPPROTO_TCP, TCP_INFO) // return 0;
}

sub pause { select undef, undef, undef, $_[0] }

# From here on the kernel drops who knocks (a SYN, RFC 9293 3.1), and lets in who is on the way already. A classic BPF program
# (Linux: networking/filter): the byte of flags; to the last line if SYN is among them; whole; nothing.
sub drop_newcomers {
    use constant SO_ATTACH_FILTER => 26;
    my @lines = ([0x30, 0, 0, 13], [0x45, 1, 0, 0x02], [0x06, 0, 0, 0xffffffff], [0x06, 0, 0, 0]);
    my $program = join '', map { pack 'S C C L', @$_ } @lines;
    setsockopt $listener, SOL_SOCKET, SO_ATTACH_FILTER, pack 'S x![P] P', scalar @lines, $program;
}

# Ending a TCP listener throws out who waits: so it is done when nobody does and nobody can come. Who is dropped meanwhile, within a
# millisecond or two, is refused when it knocks again, or has gone elsewhere. A unix listener that has ended is still emptied.
sub stop {
    if (defined $port) {
        my $patience = time + 5;
        drop_newcomers();
        pause(0.001);    # who is on the way: a round trip to the next host
        pause(0.0002) while waiting() && time < $patience;
        shutdown $listener, 2;
    } else {
        shutdown $listener, 2;
        pause(0.2);
    }
    kill QUIT => $php;
}

my $stopping = 0;
until (waitpid($php, WNOHANG) == $php) {
    sigsuspend(POSIX::SigSet->new);
    stop() if grep({ delete $told{$_} } qw(QUIT TERM INT)) && !$stopping++;
    kill $_ => $php for grep { delete $told{$_} } qw(USR1 USR2);
}
exit($? >> 8 || $? & 127 && 128 + ($? & 127));
