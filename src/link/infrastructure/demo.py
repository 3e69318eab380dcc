"""Two labs on two private PostgreSQL servers: the life of a linked table, each step with what it changed."""

from __future__ import annotations

import logging
import math
import time
import warnings
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from attrs import define

from link.domain.errors import LinkError, ServerUnreachable
from link.infrastructure.private_postgres import PrivatePostgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUBJECTS, SESSIONS, TRIALS, SAMPLES = 5, 40, 20, 50


@define
class Labs:
    """The two servers and the connections of the people in the two labs."""

    server_s: PrivatePostgres
    server_l: PrivatePostgres
    lab_s: Any
    """The connection of lab S's user, who owns the pipeline."""
    lab_l: Any
    onlooker: Any
    """An admin's connection to server S, to show what is there."""

    def count(self, connection: Any, table: str) -> int:
        """Return the number of rows of a table."""
        return int(connection.query(f"SELECT count(*) FROM {table}").fetchone()[0])

    def show(self) -> None:
        """Print what both servers hold now."""
        s = {
            "source": self.count(self.onlooker, "lab.session"),
            "registered": self._outbound("session_outbound"),
            "requested": self._outbound("session_outbound__deletion_requested"),
            "approved": self._outbound("session_outbound__deletion_approved"),
        }
        local = self.count(self.lab_l, "shared.session") if self._exists() else 0
        print(f"      server S: {', '.join(f'{name} {rows}' for name, rows in s.items())}   |   server L: local {local}")

    def _outbound(self, table: str) -> int:
        found = self.onlooker.query("SELECT to_regclass(%s)", (f"outbound.{table}",)).fetchone()[0]
        return self.count(self.onlooker, f"outbound.{table}") if found else 0

    def _exists(self) -> bool:
        return bool(self.lab_l.query("SELECT to_regclass('shared.session')").fetchone()[0])


def demo() -> None:
    """Run the demo; raises `ServerUnreachable` at once where it cannot run. Leaves nothing behind."""
    start = time.monotonic()
    warnings.simplefilter("ignore")
    try:
        import psycopg2  # noqa: F401, PLC0415 - an extra
    except ImportError:
        detail = "psycopg2 is not installed; install datajoint-link[demo]"
        raise ServerUnreachable(server="private PostgreSQL", detail=detail) from None
    import datajoint as dj  # noqa: PLC0415 - now that warnings are off

    dj.logger.addFilter(lambda record: record.levelno >= logging.ERROR)
    print("Two labs, two database servers. Starting two private PostgreSQL servers ...")
    with _labs() as labs:
        _story(labs)
    print(f"\nDone in {time.monotonic() - start:.0f} s. Both servers are stopped and their folders are gone.")


@contextmanager
def _labs() -> Iterator[Labs]:
    servers = [PrivatePostgres(), PrivatePostgres()]
    try:
        server_s, server_l = (server.start() for server in servers)
        _admin(server_s, _SOURCE_SETUP)
        _admin(server_l, _LOCAL_SETUP)
        onlooker = _connection(server_s, server_s.user, server_s.password)
        yield Labs(server_s, server_l, _connection(server_s, "ada"), _connection(server_l, "ben"), onlooker)
    finally:
        for server in servers:
            server.remove()


_SOURCE_SETUP = (
    "CREATE ROLE ada LOGIN PASSWORD 'demo'",
    "CREATE ROLE link LOGIN PASSWORD 'demo'",
    "CREATE SCHEMA lab AUTHORIZATION ada",
    "CREATE SCHEMA outbound AUTHORIZATION link",
    "GRANT USAGE ON SCHEMA lab TO link",
    "ALTER DEFAULT PRIVILEGES FOR ROLE ada IN SCHEMA lab GRANT SELECT, REFERENCES ON TABLES TO link",
)
_LOCAL_SETUP = ("CREATE ROLE ben LOGIN PASSWORD 'demo'", "CREATE SCHEMA shared AUTHORIZATION ben")


def _admin(server: PrivatePostgres, statements: tuple[str, ...]) -> None:
    connection = _connection(server, server.user, server.password)
    for statement in statements:
        connection.query(statement)
    connection.close()


def _connection(server: PrivatePostgres, user: str, password: str = "demo") -> Any:  # noqa: S107 - a server of a minute
    import datajoint as dj  # noqa: PLC0415 - after the check above

    settings = {"database__name": "postgres", "safemode": False}
    return dj.Instance(server.host, user, password, server.port, use_tls=False, backend="postgresql", **settings).connection


def _pipeline(labs: Labs) -> tuple[Any, Any]:
    """Declare lab S's tables and fill them."""
    import datajoint as dj  # noqa: PLC0415 - after the check above

    schema = dj.Schema("lab", connection=labs.lab_s)

    class Subject(dj.Manual):  # type: ignore[misc,unused-ignore]
        definition = """
        subject : varchar(16)
        """

    class Session(dj.Manual):  # type: ignore[misc,unused-ignore]
        definition = """
        # a recording session
        -> Subject
        session : int32
        ---
        date : date
        setup : enum('rig 1', 'rig 2')
        trace : <blob>  # the photodiode
        """

        class Trial(dj.Part):  # type: ignore[misc,unused-ignore]
            definition = """
            -> master
            trial : int32
            ---
            reaction_time : float64  # s
            """

    schema(Subject, context={})
    schema(Session, context={"Subject": Subject})
    _fill(Subject, Session)
    return Subject, Session


def _fill(subject: Any, session: Any) -> None:
    subject.insert({"subject": f"mouse {n}"} for n in range(SUBJECTS))
    keys: list[dict[str, Any]] = [{"subject": f"mouse {n}", "session": m} for n in range(SUBJECTS) for m in range(SESSIONS)]
    first = date(2026, 1, 5)
    session.insert(
        {
            **key,
            "date": first + timedelta(days=key["session"]),
            "setup": f"rig {key['session'] % 2 + 1}",
            "trace": [math.sin(key["session"] + sample / 8) for sample in range(SAMPLES)],
        }
        for key in keys
    )
    session.Trial.insert(
        {**key, "trial": trial, "reaction_time": 0.2 + 0.01 * trial} for key in keys for trial in range(TRIALS)
    )


def _linked(labs: Labs) -> tuple[Any, Any]:
    from link.infrastructure.lazy_schema import LazySchema  # noqa: PLC0415 - after the check above
    from link.infrastructure.link import Link  # noqa: PLC0415 - likewise

    local_schema = LazySchema("shared", connection=labs.lab_l)
    source_schema = LazySchema(
        "lab",
        host=labs.server_s.host,
        port=labs.server_s.port,
        user="link",
        password="demo",  # noqa: S106 - a server of a minute
        backend="postgresql",
        database_name="postgres",
        use_tls=False,
    )
    linked = Link(local_schema, source_schema, outbound="outbound")(type("Session", (), {}))
    return linked, local_schema


def _say(text: str) -> None:
    print(f"\n{text}")


def _call(labs: Labs, who: str, call: str, act: Callable[[], object]) -> None:
    """Print a call as its user would type it, its result, and what both servers hold after it."""
    print(f"  {who}: {call}")
    try:
        result = act()
    except LinkError as error:
        print(f"      refused: {error}")
    except Exception as error:  # noqa: BLE001 - lab S's refusal is the server's and DataJoint's
        print(f"      refused: {str(error).splitlines()[0]}")
    else:
        if result is not None:
            print(f"      -> {result}")
    labs.show()


def _story(labs: Labs) -> None:
    import datajoint as dj  # noqa: PLC0415 - after the check above

    _, source = _pipeline(labs)
    masters, parts = SUBJECTS * SESSIONS, SUBJECTS * SESSIONS * TRIALS
    _say(f"1. Lab S has a pipeline of its own: {masters} sessions with arrays, {parts} trials. It knows nothing of Link.")
    labs.show()
    session, local_schema = _linked(labs)
    _say("2. Lab L links a class of the same name, and pulls: some rows, then the rest, then nothing new.")
    print('  L: @Link(local_schema, source_schema)\n     class Session: """The local table."""')
    _call(labs, "L", "Session().pull({'subject': 'mouse 1'}, 'session < 10')", lambda: _some(session))
    _call(labs, "L", "Session().pull()", session().pull)
    _call(labs, "L", "Session().pull()", session().pull)
    _own_table(dj, session, local_schema)
    _say("4. Lab S tries to delete a session that lab L uses. Its server refuses; nothing is lost.")
    key = {"subject": "mouse 1", "session": 3}
    _call(labs, "S", "(Session & {'subject': 'mouse 1', 'session': 3}).delete()", (source & key).delete)
    _say("5. So lab S asks, with plain DataJoint, and lab L sees it.")
    flags = dj.VirtualModule("outbound", "outbound", connection=labs.lab_s).SessionOutbound
    _call(
        labs,
        "S",
        "SessionOutbound.DeletionRequested.insert1({'subject': 'mouse 1', 'session': 3})",
        lambda: flags.DeletionRequested.insert1(key),
    )
    _call(labs, "L", "Session().refresh()", session().refresh)
    print(f"  L: Session().DeletionRequested().keys()\n      -> {session().DeletionRequested().keys()}")
    _say("6. Lab L deletes two sessions: the requested one is approved, the other one released.")
    _call(
        labs,
        "L",
        "(Session & {'subject': 'mouse 1'} & 'session in (3, 4)').delete()",
        lambda: repr((session & {"subject": "mouse 1"} & "session in (3, 4)").delete()),
    )
    _say("7. Lab S sees the approval and deletes the row.")
    print(f"  S: SessionOutbound.DeletionApproved().keys()\n      -> {flags.DeletionApproved().keys()}")
    _call(labs, "S", "(Session & {'subject': 'mouse 1', 'session': 3}).delete()", (source & key).delete)
    _say("8. The nightly pull brings back what was released; the deleted row is gone from both labs.")
    _call(labs, "L", "Session().pull()", session().pull)


def _some(session: Any) -> object:
    return session().pull({"subject": "mouse 1"}, "session < 10")


def _own_table(dj: Any, session: Any, local_schema: Any) -> None:
    class Performance(dj.Manual):  # type: ignore[misc,unused-ignore]
        definition = """
        -> Session
        ---
        mean_reaction_time : float64
        """

    _say("3. The local table is a DataJoint table: lab L's own tables depend on it and join it.")
    local_schema(Performance, context={"Session": session})
    means = session.aggr(session.Trial, mean_reaction_time="avg(reaction_time)") & {"subject": "mouse 1"}
    Performance.insert(means, ignore_extra_fields=True)
    rows = len(session * Performance & "mean_reaction_time > 0.25")
    print(f"  L: len(Session * Performance & 'mean_reaction_time > 0.25')\n      -> {rows}")
