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
use Errno qw(EINTR);
use Socket;

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
    exec { $command[0] } @command or die "$command[0]: $!\n";
}

# How many are let in by the kernel and not yet met by a worker (proc(5): rx_queue of a listening socket).
sub waiting {
    open my $table, '<', '/proc/net/tcp' or return 0;
    my $local = sprintf ':%04X$', $port;
    while (<$table>) {
        my (undef, $at, undef, $state, $queues) = split;
        return hex((split /:/, $queues)[1]) if $state eq '0A' && $at =~ $local;
    }
    return 0;
}

sub pause { select undef, undef, undef, $_[0] }

# Ending a TCP listener throws out who waits, so it is done in a moment when nobody does; a unix one is still emptied.
sub stop {
    my $patience = time + 5;
    pause(0.0002) while defined $port && waiting() && time < $patience;
    shutdown $listener, 2;
    pause(0.2) unless defined $port;
    kill QUIT => $php;
}

my $stopping = 0;
$SIG{QUIT} = $SIG{TERM} = $SIG{INT} = sub { stop() unless $stopping++ };
for my $signal (qw(USR1 USR2)) {
    $SIG{$signal} = sub { kill $signal => $php };
}
1 until waitpid($php, 0) == $php || $! != EINTR;
exit($? >> 8 || $? & 127 && 128 + ($? & 127));
