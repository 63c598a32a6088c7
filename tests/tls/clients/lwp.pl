# LWP: lwp.pl CA URL...
use strict;
use warnings;
use LWP::UserAgent;

my $ca = shift;
my $agent = LWP::UserAgent->new(ssl_opts => {SSL_ca_file => $ca, verify_hostname => 1});
for my $url (@ARGV) {
	my $answer = $agent->get($url);
	print $answer->code, " ", $answer->content;
}
