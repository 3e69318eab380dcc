"""Private database servers for the tests: two of each product, stock settings, started once a session, gone after it."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from enum import Enum
from functools import cache
from pathlib import Path

import psycopg2
import pymysql
import pytest
from attrs import define, field, frozen

from link.infrastructure.private_postgres import PrivatePostgres, free_port

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "link-tests"
SECONDS = 60


class Product(Enum):
    POSTGRESQL = "postgresql"
    MARIADB = "mariadb"
    MYSQL = "mysql"

    @property
    def backend(self):
        return "postgresql" if self is Product.POSTGRESQL else "mysql"


@frozen
class Account:
    user: str
    password: str = field(repr=False)


class Missing(Exception):
    """A server that this machine does not have, and how to get it."""


@cache
def memory():
    """Return a folder in memory for the servers' data, None where there is not plenty: their syncs were a third of the time."""
    folder, gigabyte = Path("/dev/shm"), 2**30
    try:
        facts = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        room = min(shutil.disk_usage(folder).free, int(facts["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError):
        return None
    return folder if room > 12 * gigabyte else None


@define
class Daemon:
    """A MariaDB or MySQL server process with a folder of its own."""

    product: Product
    port: int = field(factory=free_port)
    folder: Path = field(init=False)
    process: subprocess.Popen | None = field(default=None, init=False)

    def __attrs_post_init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix=f"link-{self.product.value}-", dir=memory()))
        atexit.register(self.remove)

    def start(self):
        first = not (self.folder / "data").exists()
        if first:
            self._initialise()
        options = [f"--datadir={self.folder / 'data'}", f"--port={self.port}", "--bind-address=127.0.0.1"]
        options += [f"--socket={self.folder / 's'}", f"--pid-file={self.folder / 'pid'}"]
        options += [f"--tmpdir={self.folder}"]  # a server that starts clears its own of temporary tables, anybody's
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._server(), *options, *self._extra()],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                restore_signals=False,  # a file that may not grow is an error then, as on a full disk, not a signal
            )
        self._wait()
        return first

    def _server(self):
        if self.product is Product.MARIADB:
            return [mariadbd(), "--no-defaults", *_as_user("mysql", self.folder)]
        return [str(mysql_folder() / "mysqld"), "--no-defaults", *_as_user("root", self.folder)]

    def _extra(self):
        return [] if self.product is Product.MARIADB else ["--secure-file-priv=NULL", "--mysqlx=OFF"]

    def _initialise(self):
        data = f"--datadir={self.folder / 'data'}"
        if self.product is Product.MARIADB:
            command = [
                "mariadb-install-db",
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ]
            command += [data, *_as_user("mysql", self.folder)]
        else:
            command = [*self._server(), "--initialize-insecure", data]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def _wait(self):
        for _ in range(SECONDS * 20):
            try:
                pymysql.connect(unix_socket=str(self.folder / "s"), user="root").close()
            except pymysql.OperationalError as error:
                if error.args[0] == 1045:
                    return
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, *, immediate=False):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL if immediate else signal.SIGTERM)
            self.process.wait(SECONDS)
            self.process = None

    def remove(self):
        self.stop(immediate=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _as_user(user, folder):
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, user)
    return [f"--user={user}"]


def mariadbd():
    found = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Missing("MariaDB is not installed: apt-get install mariadb-server")
    return found


def mysql_folder():
    folder = Path(os.environ.get("LINK_MYSQL_DIR", CACHE / "mysql"))
    if not (folder / "mysqld").exists():
        raise Missing(f"Oracle MySQL is not there: scripts/get-mysql.sh {CACHE / 'mysql'}")
    return folder


@define(eq=False)
class Server:
    """One running server and its all-powerful account."""

    product: Product
    host: str = "127.0.0.1"
    admin: Account = field(init=False)
    _process: object = field(init=False)

    def __attrs_post_init__(self):
        if self.product is Product.POSTGRESQL:
            self._process = PrivatePostgres(within=memory()).start()
            self.admin = Account("postgres", self._process.password)
            return
        self.admin = Account("root", "test-root-pw")
        self._process = Daemon(self.product)
        self._process.start()
        first = pymysql.connect(unix_socket=str(self._process.folder / "s"), user="root", autocommit=True)
        with first.cursor() as cursor:
            cursor.execute("DELETE FROM mysql.global_priv WHERE User = ''" if self._is_mariadb else "SELECT 1")
            cursor.execute("FLUSH PRIVILEGES")
            cursor.execute("CREATE USER IF NOT EXISTS root@'127.0.0.1' IDENTIFIED BY %s", (self.admin.password,))
            cursor.execute("ALTER USER root@'127.0.0.1' IDENTIFIED BY %s", (self.admin.password,))
            cursor.execute("GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION")
            cursor.execute("ALTER USER root@'localhost' IDENTIFIED BY %s", (self.admin.password,))
        first.close()

    @property
    def _is_mariadb(self):
        return self.product is Product.MARIADB

    @property
    def backend(self):
        return self.product.backend

    @property
    def port(self):
        return self._process.port

    @property
    def database_name(self):
        return "postgres" if self.product is Product.POSTGRESQL else None

    def raw(self, account):
        """Return a driver's connection in autocommit mode."""
        if self.product is Product.POSTGRESQL:
            connection = psycopg2.connect(
                host=self.host, port=self.port, user=account.user, password=account.password, dbname="postgres"
            )
            connection.autocommit = True
            return connection
        account = {"user": account.user, "password": account.password}
        # without TLS: PyMySQL reads the machine's CA certificates for each connection, which was half of the tests' time
        return pymysql.connect(host=self.host, port=self.port, **account, autocommit=True, ssl_disabled=True)

    def query(self, account, sql, args=()):
        """Run one statement as `account` and return its rows."""
        connection = self.raw(account)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, args or None)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def admin_query(self, sql, args=()):
        return self.query(self.admin, sql, args)

    def quote(self, name):
        return f'"{name}"' if self.product is Product.POSTGRESQL else f"`{name}`"

    def stop(self, *, immediate=False):
        self._process.stop(immediate=immediate)

    def start(self):
        self._process.start()

    def remove(self):
        self._process.remove()


_RUNNING = {}


def get(product, role):
    """Return the server of a product in a role ("source" or "local"), started on first use; skip or fail without it."""
    if (product, role) not in _RUNNING:
        try:
            _RUNNING[product, role] = Server(product)
        except Missing as missing:
            if "CI" in os.environ and not (product is Product.MYSQL and "LINK_WITHOUT_MYSQL" in os.environ):
                pytest.fail(f"CI has every server: {missing}")
            pytest.skip(str(missing))
    return _RUNNING[product, role]


def remove_all():
    while _RUNNING:
        _RUNNING.popitem()[1].remove()
