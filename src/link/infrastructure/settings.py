"""Where connection settings come from: an explicit argument beats the environment, and nothing else is asked."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from link.domain.errors import SettingMissing

if TYPE_CHECKING:
    from link.adapters.datajoint.driver import Tls

PORTS = {"mysql": 3306, "postgresql": 5432}

TIMEOUT = 3600.0
"""How long a server may take to reply, in seconds: longer than the longest statement of a delete that cascades to millions of
rows. A host that is gone is noticed within a minute whatever this says."""


class Secret(str):
    """A password: the same text to a driver, and nothing in a repr, as verbose tracebacks make of every local variable."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<a password>"


@frozen(kw_only=True)
class ConnectionSettings:
    """How to reach a source's server; the password is in no repr."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    backend: str = "mysql"
    database_name: str | None = None
    use_tls: Tls = None
    timeout: float = TIMEOUT


def source_settings(
    host: str,
    *,
    port: int | None,
    user: str | None,
    password: str | None,
    backend: str | None,
    database_name: str | None,
    use_tls: Tls,
    tls_ca: str | None = None,
    timeout: float | None = None,
) -> ConnectionSettings:
    """Complete the settings of a server that is not the user's own.

    Nothing comes from the local server's settings. Raises `SettingMissing` naming the variable.
    """
    kind = backend or "mysql"
    if kind not in PORTS:
        message = f"backend must be one of {sorted(PORTS)}, not {kind!r}"
        raise ValueError(message)
    name, given_port = _host_and_port(host)
    return ConnectionSettings(
        host=name,
        port=given_port or port or PORTS[kind],
        user=user or from_environment("user", "LINK_USER", host),
        password=Secret(password if password is not None else from_environment("password", "LINK_PASS", host)),
        backend=kind,
        database_name=database_name,
        use_tls=tls_settings(use_tls, tls_ca),
        timeout=timeout_settings(timeout),
    )


def _host_and_port(host: str) -> tuple[str, int | None]:
    """Take `host:port` apart; an IPv6 address is written bare, or in brackets before a port."""
    bracketed = re.fullmatch(r"\[(.+)\](?::(\d+))?", host)
    if bracketed:
        return bracketed[1], int(bracketed[2]) if bracketed[2] else None
    if host.count(":") != 1:
        return host, None
    name, _, port = host.partition(":")
    if not port.isdecimal():
        message = f"the port in host={host!r} is no number"
        raise ValueError(message)
    return name, int(port)


def tls_settings(use_tls: Tls, tls_ca: str | None) -> Tls:
    """Return DataJoint's `use_tls`, with the CA's file, else LINK_TLS_CA, in it; raise `ValueError` for what cannot be meant.

    A CA means that the line is encrypted and the server's certificate and name are verified.
    """
    wanted = tls_ca or (os.environ.get("LINK_TLS_CA") if use_tls is None or use_tls is True else None)
    if not wanted:
        return use_tls
    if use_tls is False:
        message = "tls_ca names a CA, and use_tls=False asks for a line without TLS"
        raise ValueError(message)
    if not Path(wanted).is_file():
        message = f"there is no CA file {wanted!r} (tls_ca= or LINK_TLS_CA)"
        raise ValueError(message)
    return {**(use_tls if isinstance(use_tls, dict) else {}), "ca": wanted}


def timeout_settings(timeout: float | None) -> float:
    """Return the limit in seconds, else LINK_TIMEOUT's, else the default; raise `ValueError` for one that is none."""
    said = timeout if timeout is not None else os.environ.get("LINK_TIMEOUT") or TIMEOUT
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        message = f"a timeout is a number of seconds above 0, not {said!r} (timeout= or LINK_TIMEOUT)"
        raise ValueError(message)
    return seconds


def from_environment(setting: str, variable: str, server: str) -> str:
    """Return a variable of the environment, or raise `SettingMissing` naming it."""
    value = os.environ.get(variable)
    if not value:
        raise SettingMissing(setting=setting, variable=variable, server=server)
    return value
