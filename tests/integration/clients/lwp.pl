use strict;
use LWP::UserAgent;
my $port = shift;
my $agent = LWP::UserAgent->new;
for my $path (@ARGV) {
	my $answer = $agent->get("http://127.0.0.1:$port$path");
	print $answer->code, " ", $answer->content, "\n";
}
