# open-uri: open_uri.rb CA URL...
require "open-uri"

ARGV.drop(1).each { |url| print URI.open(url, ssl_ca_cert: ARGV[0]).read }
