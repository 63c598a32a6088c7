"""The servers of the matrix, each as its distribution made it, with keep-alive as it is by default."""
import os
import shutil

import harness

AS_USER = "www-data" if os.geteuid() == 0 else ""


class Apache(harness.FileServer):
    needs = "apache2"

    def command(self):
        user = "User %s\nGroup %s\n" % (AS_USER, AS_USER) if AS_USER else ""
        return [find("apache2"), "-DFOREGROUND", "-f", self.write("apache.conf", """
ServerRoot {home}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {home}/pid
ErrorLog {home}/error.log
DefaultRuntimeDir {home}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
DocumentRoot {home}
{user}""".format(home=self.home, port=self.port, modules="/usr/lib/apache2/modules", user=user))]


class Lighttpd(harness.FileServer):
    needs = "lighttpd"

    def command(self):
        return [find("lighttpd"), "-D", "-f", self.write("lighttpd.conf", """
server.document-root = "{home}"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{home}/error.log"
""".format(home=self.home, port=self.port))]


class HAProxy(harness.FileServer):
    """It answers by itself: what is behind it would have connections of its own."""
    needs = "haproxy"

    def command(self):
        answers = "".join("    http-request return status 200 content-type text/plain file %s/bytes/%d if { path /bytes/%d }\n" % (
            self.home, size, size) for size in harness.SIZES)
        return [find("haproxy"), "-db", "-q", "-f", self.write("haproxy.conf", """
global
    tune.bufsize 131072
defaults
    mode http
    timeout client 30s
    timeout connect 5s
    timeout server 30s
frontend files
    bind 127.0.0.1:{port}
{answers}    http-request deny status 404
""".format(port=self.port, answers=answers))]


class Python10(harness.FileServer):
    """It speaks HTTP/1.0 and knows no keep-alive."""
    needs, protocol = harness.python(), "HTTP/1.0"

    def command(self):
        return [harness.python(), "-c", """
import functools, http.server
http.server.SimpleHTTPRequestHandler.protocol_version = {protocol!r}
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory={home!r})
http.server.ThreadingHTTPServer(("127.0.0.1", {port}), handler).serve_forever()
""".format(protocol=self.protocol, home=self.home, port=self.port)]


class Python11(Python10):
    protocol = "HTTP/1.1"


class Node(harness.FileServer):
    needs = "node"

    def command(self):
        return [find("node"), self.write("server.js", """
const fs = require('fs');
require('http').createServer((request, response) => {
    fs.readFile('%s' + request.url, (error, data) => {
        response.statusCode = error ? 404 : 200;
        response.end(error ? 'no such file\\n' : data);
    });
}).listen(%d, '127.0.0.1');
""" % (self.home, self.port))]


class Jetty(harness.FileServer):
    needs = "java"

    def command(self):
        jars = ["jetty9-%s.jar" % part for part in ("server", "http", "io", "util")] + ["servlet-api.jar"]
        return [find("java"), "-Xmx64m", "-cp", ":".join("/usr/share/java/" + jar for jar in jars), self.write("Files.java", """
import org.eclipse.jetty.server.*;
import org.eclipse.jetty.server.handler.*;
public class Files {
    public static void main(String[] arguments) throws Exception {
        Server server = new Server();
        ServerConnector connector = new ServerConnector(server);
        connector.setHost("127.0.0.1");
        connector.setPort(%d);
        server.addConnector(connector);
        ResourceHandler files = new ResourceHandler();
        files.setResourceBase("%s");
        server.setHandler(new HandlerList(files, new DefaultHandler()));
        server.start();
        server.join();
    }
}
""" % (self.port, self.home))]


class Varnish(harness.FileServer):
    """It makes its answers up: the files of 100,000 bytes too."""
    needs = "varnishd"

    def command(self):
        answers = "".join('if (req.url == "/bytes/%d") { set resp.status = 200; synthetic(std.fileread("%s/bytes/%d")); }\n' % (
            size, self.home, size) for size in harness.SIZES)
        return [find("varnishd"), "-F", "-j", "none", "-n", os.path.join(self.home, "work"), "-a", "127.0.0.1:%d" % self.port,
                "-f", self.write("files.vcl", """vcl 4.1;
import std;
backend default none;
sub vcl_recv { return (synth(404)); }
sub vcl_synth { set resp.http.Content-Type = "text/plain"; %s return (deliver); }
""" % answers)]


class PlainNginx(harness.Nginx):
    needs = "nginx"


LIST = {"nginx": PlainNginx, "Apache": Apache, "lighttpd": Lighttpd, "HAProxy": HAProxy, "Varnish": Varnish, "Node.js": Node,
        "Jetty": Jetty, "Python HTTP/1.1": Python11, "Python HTTP/1.0": Python10}


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
