"""Connections of the servers' admins, and what they see of the promise."""

from __future__ import annotations

import time
from contextlib import suppress

from attrs import asdict, frozen

from link import errors

FALSE_ALARMS = (errors.LocalSideBehind, errors.LocalSideMoved, errors.OutboundTaken, errors.SourceTableMissing)
"""Link's errors about what never happens here."""


class Violation(AssertionError):
    """The promise does not hold."""


@frozen(kw_only=True)
class Seen:
    """What there is, as far as the promise and the results go."""

    source: frozenset
    outbound: frozenset
    requested: frozenset
    approved: frozenset
    local: frozenset
    shown: frozenset
    notes: frozenset
    open: int

    def without(self, keys):
        """Return the same without what is seen of `keys`."""
        return Seen(**{name: each if name == "open" else each - keys for name, each in asdict(self).items()})

    def problem(self):
        """Say where local ⊆ outbound ⊆ source does not hold, or what an approval contradicts."""
        if not self.outbound <= self.source:
            return f"registered without source: {sorted(self.outbound - self.source)}"
        if not self.local <= self.outbound:
            return f"local without registration: {sorted(self.local - self.outbound)}"
        if not self.approved | self.requested <= self.outbound:
            return f"flagged without registration: {sorted((self.approved | self.requested) - self.outbound)}"
        if self.approved & self.local:
            return f"approved but local: {sorted(self.approved & self.local)}"
        return None


class Watch:
    """A connection of the server's admin that outlives whatever happens to the server."""

    def __init__(self, server):
        self.server, self._connection = server, None

    def query(self, statement, args=()):
        for attempt in (1, 2):
            try:
                if self._connection is None:
                    self._connection = self.server.raw(self.server.admin)
                with self._connection.cursor() as cursor:
                    cursor.execute(statement, args or None)
                    return list(cursor.fetchall()) if cursor.description else []
            except Exception:
                self.close()
                if attempt == 2:
                    raise
        raise AssertionError

    def close(self):
        if self._connection is not None:
            with suppress(Exception):  # its server may be gone
                self._connection.close()
            self._connection = None

    def kill(self, number):
        """End a session of the server and wait until it is gone, with its locks."""
        if self.server.backend == "postgresql":
            self.query("SELECT pg_terminate_backend(%s, 5000)", (number,))
            return
        with suppress(Exception):  # it may be gone by itself
            self.query(f"KILL {number}")
        for _ in range(1_000):
            if not self.query("SELECT 1 FROM information_schema.processlist WHERE id = %s", (number,)):
                return
            time.sleep(0.005)

    def sessions(self, user):
        if self.server.backend == "postgresql":
            return {row[0] for row in self.query("SELECT pid FROM pg_stat_activity WHERE usename = %s", (user,))}
        return {row[0] for row in self.query("SELECT id FROM information_schema.processlist WHERE user = %s", (user,))}

    def busy(self):
        """Say what every session is doing."""
        if self.server.backend == "postgresql":
            return self.query("SELECT pid, usename, state, query FROM pg_stat_activity WHERE usename IS NOT NULL")
        return self.query("SELECT id, user, command, time, state, info FROM information_schema.processlist")
