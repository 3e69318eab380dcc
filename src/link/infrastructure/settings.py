"""Where connection settings come from: an explicit argument beats the environment, and nothing else is asked."""

from __future__ import annotations

import os

from attrs import field, frozen

from link.domain.errors import SettingMissing

PORTS = {"mysql": 3306, "postgresql": 5432}


@frozen(kw_only=True)
class ConnectionSettings:
    """How to reach a source's server; the password is in no repr."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    backend: str = "mysql"
    database_name: str | None = None
    use_tls: bool | None = None


def source_settings(
    host: str,
    *,
    port: int | None,
    user: str | None,
    password: str | None,
    backend: str | None,
    database_name: str | None,
    use_tls: bool | None,
) -> ConnectionSettings:
    """Complete the settings of a server that is not the user's own.

    Nothing comes from the local server's settings. Raises `SettingMissing` naming the variable.
    """
    kind = backend or "mysql"
    if kind not in PORTS:
        message = f"backend must be one of {sorted(PORTS)}, not {kind!r}"
        raise ValueError(message)
    name, _, given_port = host.partition(":")
    return ConnectionSettings(
        host=name,
        port=int(given_port) if given_port else port or PORTS[kind],
        user=user or from_environment("user", "LINK_USER", host),
        password=password if password is not None else from_environment("password", "LINK_PASS", host),
        backend=kind,
        database_name=database_name,
        use_tls=use_tls,
    )


def from_environment(setting: str, variable: str, server: str) -> str:
    """Return a variable of the environment, or raise `SettingMissing` naming it."""
    value = os.environ.get(variable)
    if not value:
        raise SettingMissing(setting=setting, variable=variable, server=server)
    return value
