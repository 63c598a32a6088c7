# IO::Socket::SSL under settings that change: matrix.pl FOLDER HOST PORT, with steps on standard input, a line each:
# LABEL|KEY=VALUE;... See matrix.py.
use strict;
use warnings;
use IO::Socket::SSL;

my ($folder, $host, $port) = @ARGV;
my %seen; # by the callback of this step; one that refuses is asked again on a fresh connection
$| = 1;

sub options {
	my %settings = @_;
	my %options = (PeerAddr => $host, PeerPort => $port, SSL_ca_file => "$folder/" . ($settings{ca} // "ca.pem"), SSL_hostname => $settings{name} // "localhost",
		SSL_verifycn_name => $settings{name} // "localhost", SSL_verifycn_scheme => "http");
	$options{SSL_verify_mode} = SSL_VERIFY_NONE if ($settings{verify} // "") eq "none";
	$options{SSL_verifycn_scheme} = "none" if ($settings{check} // "") eq "no";
	$options{SSL_hostname} = "" if ($settings{sni} // "") eq "no";
	$options{SSL_version} = $settings{only} if $settings{only};
	$options{SSL_cipher_list} = $settings{ciphers} if $settings{ciphers};
	$options{SSL_alpn_protocols} = [split /,/, $settings{alpn}] if $settings{alpn};
	$options{SSL_fingerprint} = $settings{fingerprint} if $settings{fingerprint};
	@options{"SSL_cert_file", "SSL_key_file"} = map { "$folder/$settings{certificate}.$_" } "pem", "key" if $settings{certificate};
	@options{"SSL_check_crl", "SSL_crl_file"} = (1, "$folder/$settings{crl}") if $settings{crl};
	if (my $way = $settings{callback}) {
		$options{SSL_verify_callback} = sub {
			my ($fine, undef, undef, undef, undef, $depth) = @_;
			$seen{"depth $depth: $fine"} = 1;
			return $way eq "accept" ? 1 : $way eq "reject" ? 0 : $way eq "reject-leaf" ? $fine && $depth > 0 : $fine;
		};
	}
	return %options;
}

while (my $line = <STDIN>) {
	%seen = ();
	chomp $line;
	my ($label, $text) = split /\|/, $line;
	my %settings = map { split /=/, $_, 2 } split /;/, $text // "";
	print "$label: ";
	my $socket = IO::Socket::SSL->new(options(%settings));
	if (!$socket) {
		(my $error = "$SSL_ERROR") =~ s/\s+/ /g;
		print join(", ", $error, sort keys %seen), "\n";
		next;
	}
	printf "%s, %s, alpn %s, leaf %s, session %s; ", $socket->get_sslversion, $socket->get_cipher, $socket->alpn_selected // "none",
		substr($socket->get_fingerprint("sha256"), 0, 19), $socket->get_session_reused // 0;
	print $socket "GET /bytes/20 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	my $answer = do { local $/; <$socket> };
	$answer =~ s/.*\r\n\r\n//s;
	print join(", ", $answer, sort keys %seen), "\n";
	$socket->close;
}
