require "net/http"
ARGV.drop(1).each { |path| puts Net::HTTP.get(URI("http://127.0.0.1:#{ARGV[0]}#{path}")) }
