# Net::HTTP, a connection for each request: net_http.rb CA URL...
require "net/http"

ARGV.drop(1).each do |url|
  uri = URI(url)
  Net::HTTP.start(uri.hostname, uri.port, use_ssl: true, ca_file: ARGV[0]) { |http| print http.get(uri.path, { "Connection" => "close" }).body }
end
