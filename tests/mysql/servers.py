"""MariaDB servers of a test's own."""
import getpass
import os
import shutil
import signal
import subprocess
import tempfile

import harness
import pymysql

# Small, and nothing that would slow a test down.
OPTIONS = ["--no-defaults", "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M", "--innodb-flush-log-at-trx-commit=0",
           "--skip-log-bin", "--plugin-load-add=auth_ed25519", "--local-infile=1", "--performance-schema=0"]
USERS = """
create database db;
create database other;
create user u@'%' identified by 'secret';
create user second@'%' identified by 'other secret';
create user none@'%';
create user curve@'%' identified via ed25519 using password('third secret');
create role reader;
grant all on db.* to u@'%', second@'%', none@'%', curve@'%';
grant all on other.* to u@'%';
grant file, process, reload on *.* to u@'%';
"""


def version():
    return subprocess.run(["mariadbd", "--no-defaults", "--version"], capture_output=True, text=True).stdout.split()[2]


def template():
    """A folder of data with the users, made once."""
    path = os.path.join(harness.BUILD, "mysql-%s-%d" % (version(), os.geteuid()))
    if os.path.exists(os.path.join(path, "mysql")):
        return path
    making = "%s.%d" % (path, os.getpid())
    os.makedirs(making)
    subprocess.run(["mariadb-install-db", "--no-defaults", "--datadir=" + making, "--auth-root-authentication-method=normal",
                    "--skip-test-db", "--user=" + getpass.getuser(), "--innodb-log-file-size=4M"], check=True, capture_output=True,
                   env=harness.environment(False))
    with open(os.path.join(making, "users.sql"), "w") as file:
        file.write(" ".join(USERS.split()).replace(";", ";\n"))
    os.rename(making, path)
    return path


class MariaDB:
    """One, alive inside a with block. `options`: more of its command line."""

    def __init__(self, *options):
        self.options, self.fixed_port = options, None

    def at(self, port):
        """Where another one was before."""
        self.fixed_port = port
        return self

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="holdline-mysql-")
        self.data = os.path.join(self.folder, "data")
        self.path = os.path.join(self.folder, "socket")
        shutil.copytree(template(), self.data)
        self.port = self.fixed_port or harness.free_port()
        self.arguments = str(self.port), self.path
        self.n_own = self.base = 0
        self.log = open(os.path.join(self.folder, "log"), "w+")
        self.process = subprocess.Popen(["mariadbd", *OPTIONS, "--datadir=" + self.data, "--socket=" + self.path, "--port=%d" % self.port,
                                         "--bind-address=127.0.0.1", "--skip-name-resolve", "--user=" + getpass.getuser(),
                                         "--pid-file=" + os.path.join(self.folder, "pid"), "--log-warnings=2",
                                         "--init-file=" + os.path.join(self.data, "users.sql"), *self.options], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, env=harness.environment(False))
        if not harness.wait_until(self.answers):
            raise RuntimeError("mariadbd does not start")
        self.base = self.n_connections()
        return self

    def control(self):
        """A connection past every library."""
        connection = pymysql.connect(unix_socket=self.path, user="root", autocommit=True)
        self.n_own += 1
        return connection

    def ask(self, *statements):
        with self.control() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def answers(self):
        try:
            self.ask("select 1")
        except (OSError, pymysql.Error):
            return False
        return os.path.exists(self.path)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(10)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def status(self, name):
        return int(self.ask("show global status like '%s'" % name)[0][1])

    def n_connections(self):
        """How many were ever made, those of the test itself not counted."""
        return self.status("Connections") - self.n_own - self.base
