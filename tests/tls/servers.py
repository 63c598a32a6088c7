"""HTTPS servers of the suite: one that counts (server.py), nginx and Apache; and their certificates."""
import os
import shutil
import subprocess
import tempfile
import time

import harness
from harness import FileServer

HERE = os.path.dirname(os.path.abspath(__file__))
CERTIFICATES = os.path.join(harness.BUILD, "tls-certificates")


def certificates():
    """The folder of certificates; they are made once a day."""
    made, source = os.path.join(CERTIFICATES, "made"), os.path.join(HERE, "make_certificates.py")
    if not os.path.exists(made) or time.time() - os.path.getmtime(made) > 86400 or os.path.getmtime(made) < os.path.getmtime(source):
        os.makedirs(harness.BUILD, exist_ok=True)
        # Another run may be using those of before.
        folder = tempfile.mkdtemp(prefix="tls-certificates-", dir=harness.BUILD)
        subprocess.run([harness.PYTHON, source, folder], check=True)
        open(os.path.join(folder, "made"), "w").close()
        shutil.rmtree(CERTIFICATES, ignore_errors=True)
        os.rename(folder, CERTIFICATES)
    return CERTIFICATES


def certificate(name):
    return os.path.join(certificates(), name)


def make(*what):
    """One more of them: ("leaf", NAME, BEGIN, END) or ("staple", NAME, FILE, STATUS, BEGIN, END); see make_certificates.py."""
    subprocess.run([harness.PYTHON, os.path.join(HERE, "make_certificates.py"), certificates(), *map(str, what)], check=True)


def dh_parameters():
    path = certificate("dh.pem")
    if not os.path.exists(path):
        subprocess.run(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", path], check=True)
    return path


def can_make_certificates():
    return harness.run([harness.PYTHON, "-c", "import cryptography"], False).status == 0


OPENSSL_CONFIGURATION = """
openssl_conf = all
[all]
ssl_conf = tls
[tls]
system_default = defaults
[defaults]
"""


class TlsServer(harness.Server):
    """server.py, alive inside a with block. `settings`: OpenSSL's own, as in SSL_CONF_cmd(3)."""

    def __init__(self, *options, settings="", prefix=(), host="127.0.0.1"):
        self.host = host
        self.command = [*prefix, harness.PYTHON, os.path.join(HERE, "server.py"), certificates(), *options]
        self.settings = settings

    def __enter__(self):
        environment = harness.environment(False)
        if self.settings:
            path = os.path.join(harness.BUILD, "tls-server-%d.cnf" % os.getpid())
            with open(path, "w") as file:
                file.write(OPENSSL_CONFIGURATION + self.settings + "\n")
            environment["OPENSSL_CONF"] = path
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.port, self.control = map(int, self.process.stdout.readline().split())
        return self

    def url(self, path, host="localhost"):
        return "https://%s:%d%s" % (host, self.port, path)

    def use_certificate(self, name):
        """For the handshakes to come."""
        self.ask_control("/set?certificate=" + name)

    def close_idle(self):
        self.ask_control("/close")


class Counting(FileServer):
    """A real server whose log tells connections apart: a line `CONNECTION RESUMED` for each request."""

    def url(self, path, host="localhost"):
        return "https://%s:%d%s" % (host, self.port, path)

    def reset(self):
        open(self.log, "w").close()

    def stats(self):
        time.sleep(0.05)
        with open(self.log) as file:
            lines = [line.split() for line in file.read().splitlines()]
        connections = {words[0] for words in lines}
        resumed = {words[0] for words in lines if words[1] in ("r", "Resumed")}
        return {"connections": len(connections), "handshakes": len(connections), "resumed": len(resumed), "requests": len(lines), "posts": 0}


NGINX = """
    log_format resumed '$connection $ssl_session_reused';
    server {{
        access_log {log} resumed;
        listen 127.0.0.1:{tls_port} ssl{http2};
        server_name localhost;
        root {home};
        ssl_certificate {certificate}.pem;
        ssl_certificate_key {certificate}.key;
        ssl_protocols {protocols};
        ssl_session_cache shared:sessions:1m;
        {more}
    }}
"""


class TlsNginx(Counting):
    """`more`: further directives."""

    def __init__(self, certificate_name="ecdsa", protocols="TLSv1.2 TLSv1.3", http2=False, more=""):
        self.certificate, self.protocols, self.http2, self.more = certificate(certificate_name), protocols, http2, more

    def command(self):
        self.log = os.path.join(self.home, "tls.log")
        plain_port, self.port = self.port, self.port + 2000
        tls = NGINX.format(log=self.log, tls_port=self.port, http2=" http2" if self.http2 else "", home=self.home, certificate=self.certificate,
                           protocols=self.protocols, more=self.more)
        configuration = self.write("nginx.conf", harness.NGINX_CONFIGURATION.format(
            home=self.home, port=plain_port, more=tls, user="user root;" if os.geteuid() == 0 else "", log="off"))
        return [harness.find_nginx(), "-p", self.home, "-c", configuration]


APACHE = """
ServerRoot {home}
PidFile {home}/pid
Mutex posixsem
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule ssl_module {modules}/mod_ssl.so
LoadModule socache_shmcb_module {modules}/mod_socache_shmcb.so
ServerName localhost
Listen 127.0.0.1:{port}
DocumentRoot {home}
ErrorLog {home}/error.log
LogFormat "%{{c}}L%{{remote}}p %{{SSL_SESSION_RESUMED}}x" resumed
CustomLog {log} resumed
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
SSLSessionCache shmcb:{home}/sessions(512000)
SSLEngine on
SSLCertificateFile {certificate}.pem
SSLCertificateKeyFile {certificate}.key
SSLProtocol {protocols}
{more}
"""
APACHE_MODULES = "/usr/lib/apache2/modules"


def find_apache():
    return shutil.which("apache2", path="/usr/sbin:/usr/local/sbin") if os.path.isdir(APACHE_MODULES) else None


class TlsApache(Counting):
    def __init__(self, certificate_name="ecdsa", protocols="-all +TLSv1.2 +TLSv1.3", more=""):
        self.certificate, self.protocols, self.more = certificate(certificate_name), protocols, more

    def command(self):
        self.log = os.path.join(self.home, "tls.log")
        self.reset()
        configuration = self.write("apache.conf", APACHE.format(
            home=self.home, modules=APACHE_MODULES, port=self.port, log=self.log, certificate=self.certificate, protocols=self.protocols,
            more=self.more))
        return [find_apache(), "-f", configuration, "-DFOREGROUND"]
