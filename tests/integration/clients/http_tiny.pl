use strict;
use HTTP::Tiny;
my $port = shift;
for my $path (@ARGV) {
	my $answer = HTTP::Tiny->new(keep_alive => 0)->get("http://127.0.0.1:$port$path");
	print "$answer->{status} $answer->{content}\n";
}
