# IO::Socket::SSL, non-blocking, with select(): io_socket_ssl.pl CA URL...
use strict;
use warnings;
use IO::Select;
use IO::Socket::SSL;

my $ca = shift;

# Waits for what the last call wanted.
sub wait_for {
	my $socket = shift;
	my $select = IO::Select->new($socket);
	$SSL_ERROR == SSL_WANT_READ ? $select->can_read(10) : $select->can_write(10);
}

for my $url (@ARGV) {
	my ($host, $port, $path) = $url =~ m{https://([^:]+):(\d+)(/.*)} or die;
	my $plain = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port, Blocking => 1) or die;
	$plain->blocking(0);
	my $socket = IO::Socket::SSL->start_SSL($plain, SSL_startHandshake => 0, SSL_ca_file => $ca, SSL_hostname => $host, SSL_verifycn_name => $host,
		SSL_verifycn_scheme => "http") or die $SSL_ERROR;
	wait_for($socket) until $socket->connect_SSL or !$!{EWOULDBLOCK};
	my $request = "GET $path HTTP/1.1\r\nHost: $host:$port\r\nConnection: close\r\n\r\n";
	while (length $request) {
		my $n = $socket->syswrite($request);
		defined $n ? substr($request, 0, $n, "") : wait_for($socket);
	}
	while (1) {
		my $n = $socket->sysread(my $piece, 1000);
		if (defined $n) {
			last if $n == 0;
			print $piece;
		} else {
			last if !$!{EWOULDBLOCK};
			wait_for($socket);
		}
	}
	$socket->close;
}
