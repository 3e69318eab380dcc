"""Ways to break the protocol, each as the text that breaks it; all of them have to be noticed.

A mutant of the use cases, the domain or the in-memory servers is looked for in memory: by the simulation, and if that sees
nothing by the tests of the use cases. A mutant of the SQL is looked for on real servers, by the tests that it names.
"""

from __future__ import annotations

import shlex

from attrs import field, frozen

USE_CASES, DOMAIN, MEMORY, SQL = "use_cases", "domain", "adapters/in_memory", "adapters/datajoint"


@frozen
class Edit:
    """A text of a file under src/link that occurs there exactly once, and what takes its place."""

    path: str
    text: str
    replacement: str


@frozen(kw_only=True)
class Mutant:
    name: str
    why: str
    """What goes wrong."""
    edits: tuple[Edit, ...]
    servers: tuple[str, ...] = field(default=())
    """Arguments for pytest, for a mutant that only servers can show."""


def in_memory(name, why, *edits):
    return Mutant(name=name, why=why, edits=tuple(Edit(*edit) for edit in edits))


def on_servers(name, why, tests, *edits):
    return Mutant(name=name, why=why, edits=tuple(Edit(*edit) for edit in edits), servers=tuple(shlex.split(tests)))


LOOK = "            still = set(ports.local.present(keys))\n"
BLIND = "            still: set[int] = set()\n"
ABANDON = "            outcome = ports.local.abandon(transfer)\n        except Busy:\n            continue\n"
REFUSED = (
    "        if transfer is not None and transfer.id in self.world.decisions:\n"
    "            raise TransferAbandoned(transfer=str(transfer.id))\n"
)

IN_MEMORY = [
    in_memory(
        "no decision",
        "the local commit leaves no record: recovery undoes what was done, or what is still going to be",
        (f"{MEMORY}/local.py", REFUSED, "        if False:\n            pass\n"),
        (f"{MEMORY}/local.py", "            self.world.decisions[transfer.id] = Outcome.DONE\n", "            return\n"),
    ),
    in_memory(
        "decision after the rows",
        "recorded in a transaction of its own: between the two another process abandons what is local already",
        (
            f"{MEMORY}/local.py",
            f"{REFUSED}        change()\n",
            '        change()\n        with self.step("decide"):\n            pass\n' + REFUSED,
        ),
    ),
    in_memory(
        "steal",
        "a transfer takes rows whose last transfer is still open",
        (
            f"{MEMORY}/source.py",
            "if key in self.world.outbound and self._is_settled(key) and key not in self.world.approved:",
            "if key in self.world.outbound and key not in self.world.approved:",
        ),
    ),
    in_memory(
        "steal lost rows",
        "a pull takes a lost row that another transfer is at work on",
        (
            f"{MEMORY}/source.py",
            "if key in world.outbound and self._is_settled(key) and key not",
            "if key in world.outbound and key not",
        ),
    ),
    in_memory(
        "blind release",
        "finishing gives registrations up without looking at the local table",
        (f"{USE_CASES}/recovery.py", LOOK, BLIND),
    ),
    in_memory(
        "short delete",
        "a local delete that matched nothing commits, and finishing does not look",
        (f"{USE_CASES}/recovery.py", LOOK, BLIND),
        (f"{MEMORY}/local.py", "            for key in keys:\n                self.world.lose(key)\n", "            return\n"),
    ),
    in_memory(
        "read, not fence",
        "an absent decision is taken for an answer, while its COMMIT is under way",
        (
            f"{MEMORY}/local.py",
            "return self.world.decisions.setdefault(transfer.id, Outcome.ABANDONED)",
            "return self.world.decisions.get(transfer.id, Outcome.ABANDONED)",
        ),
    ),
    in_memory(
        "the lock alone",
        "a free lock is taken for a dead owner, who then commits",
        (
            f"{USE_CASES}/recovery.py",
            ABANDON,
            "            outcome = Outcome.ABANDONED\n        except Busy:\n            continue\n",
        ),
    ),
    in_memory(
        "busy is dead",
        "an owner in the middle of its commit is rolled back at the source",
        (
            f"{USE_CASES}/recovery.py",
            "        except Busy:\n            continue\n",
            "        except Busy:\n            outcome = Outcome.ABANDONED\n",
        ),
    ),
    in_memory(
        "two reads",
        "the request flags are read once for approval and again for release",
        (
            f"{MEMORY}/source.py",
            "            released = [key for key in mine if key not in approved]\n",
            '            with self.step("give up, second read"):\n                pass\n'
            "            released = [key for key in mine if key not in self.world.requested and key in self.world.outbound]\n",
        ),
    ),
    in_memory(
        "prune",
        "decisions are deleted once their transfer is closed",
        (
            f"{MEMORY}/source.py",
            "                entry.is_open = False\n",
            "                entry.is_open = False\n                self.world.decisions.pop(transfer.id, None)\n",
        ),
    ),
    in_memory(
        "no second pull",
        "rows that were lost locally are never taken again",
        (f"{DOMAIN}/planning.py", "    State.LOST_LOCALLY: Action.TAKE_AGAIN,\n", "    State.LOST_LOCALLY: Action.KEEP,\n"),
    ),
    in_memory(
        "no release of withdrawn approvals",
        "an approval whose request was withdrawn holds its row for ever",
        (
            f"{DOMAIN}/planning.py",
            "    State.REQUEST_WITHDRAWN: Action.RELEASE_AND_TAKE,\n",
            "    State.REQUEST_WITHDRAWN: Action.HOLD_BACK,\n",
        ),
        (f"{USE_CASES}/refresh.py", "    released = release_withdrawn(ports)\n", "    released = 0\n"),
    ),
    in_memory(
        "close before commit",
        "a pull's transfer is closed while its rows are not local yet, so that they seem to be lost",
        (
            f"{USE_CASES}/pull.py",
            "        if chunk.keys and not unfit:\n            ports.local.commit_pull",
            "        ports.outbound.close(transfer)\n        if chunk.keys and not unfit:\n            ports.local.commit_pull",
        ),
    ),
    in_memory(
        "keep what is unfit registered",
        "a chunk with values that the local server cannot hold is closed as if it were done, and stays registered",
        (
            f"{USE_CASES}/pull.py",
            "finish(ports, transfer, ports.local.abandon(transfer) if unfit else Outcome.DONE)",
            "finish(ports, transfer, Outcome.DONE)",
        ),
    ),
    in_memory(
        "release before the local commit",
        "a delete gives its registrations up while its rows are local",
        (
            f"{USE_CASES}/delete.py",
            "        _mark(ports, transfer, marked)\n",
            "        _mark(ports, transfer, marked)\n        ports.outbound.give_up(transfer, marked)\n",
        ),
    ),
    in_memory(
        "register after read",
        "rows are read, then registered: what lab S deletes in between is copied all the same",
        (
            f"{USE_CASES}/pull.py",
            "        chunk = ports.outbound.register(transfer, fresh, lost)\n",
            "        chunk = ports.source.read([*fresh, *lost])\n        ports.outbound.register(transfer, fresh, lost)\n",
        ),
    ),
    in_memory(
        "two snapshots",
        "masters and parts are read at two instants",
        (
            f"{MEMORY}/source.py",
            "            return Chunk(keys=taken, rows={key: world.source[key] for key in taken})\n",
            '            masters = {key: world.source[key][:1] for key in taken}\n            with self.step("register, parts"):\n'
            "                parts = {key: world.source[key][1:] for key in taken}\n"
            "            return Chunk(keys=taken, rows={key: masters[key] + parts[key] for key in taken})\n",
        ),
    ),
    in_memory(
        "transfers of another link",
        "recovery finishes transfers whose decisions are on another server",
        (
            f"{MEMORY}/source.py",
            "                if entry.is_open and entry.link == self.link\n",
            "                if entry.is_open\n",
        ),
    ),
    in_memory(
        "counted ids",
        "ids are counted by each process and so used again: an old decision answers for a new transfer",
        (
            f"{DOMAIN}/transfers.py",
            "    id: UUID = field(factory=uuid4)\n",
            "    id: UUID = field(factory=lambda: UUID(int=next(COUNTED[0])))\n",
        ),
        (f"{DOMAIN}/transfers.py", "class Operation(Enum):", "COUNTED = [iter(range(10**6))]\n\n\nclass Operation(Enum):"),
        (
            f"{MEMORY}/run.py",
            "        self.world.alive.add(self.owner)\n",
            "        self.world.alive.add(self.owner)\n        COUNTED[0] = iter(range(10**6))\n",
        ),
        (f"{MEMORY}/run.py", "class Silence:", "from link.domain.transfers import COUNTED\n\n\nclass Silence:"),
    ),
    in_memory(
        "guard off",
        "lab S deletes rows that are in use",
        (
            f"{MEMORY}/world.py",
            "        if key in self.outbound and key not in self.approved and self.outbound[key].held:\n",
            "        if False:\n",
        ),
    ),
    in_memory(
        "requests vanish",
        "a rolled-back pull releases a row whose deletion was requested meanwhile",
        (
            f"{MEMORY}/source.py",
            "            approved = [key for key in mine if key in self.world.requested and key in self.world.source]\n",
            "            approved: list[Key] = []\n",
        ),
        (
            f"{MEMORY}/source.py",
            "            released = [key for key in mine if key not in approved]\n",
            "            released = mine\n",
        ),
    ),
    in_memory(
        "approved rows are taken again",
        "a row that lab S may delete any moment is copied",
        (f"{MEMORY}/source.py", "self._is_settled(key) and key not in flagged]", "self._is_settled(key)]"),
    ),
    in_memory(
        "partial marks",
        "a delete goes on although somebody else is at work on some of its rows",
        (
            f"{USE_CASES}/delete.py",
            "        if ports.outbound.mark(transfer, batch) != len(batch):\n",
            "        if ports.outbound.mark(transfer, batch) < 0:\n",
        ),
    ),
    in_memory(
        "finishing a closed transfer",
        "a second finisher gives up rows that were taken again meanwhile",
        (f"{MEMORY}/source.py", "            if entry is None or not entry.is_open:\n                return None\n", ""),
    ),
    in_memory(
        "one look",
        "two servers are not seen at one instant; what seems to be local only is left behind",
        (
            f"{USE_CASES}/looking.py",
            "    unsure = [position for position, seen in enumerate(evidence) if classify(seen) in SURPRISING]\n",
            "    unsure: list[int] = []\n",
        ),
    ),
    in_memory(
        "approval without a decision",
        "a lost row is approved while another process brings it back",
        (
            f"{USE_CASES}/recovery.py",
            "    return finish(ports, transfer, Outcome.DONE)\n",
            "    settled = ports.outbound.give_up(transfer, keys) or Settled()\n    ports.outbound.close(transfer)\n    return settled\n",
        ),
    ),
    in_memory(
        "overwrite",
        "a pull puts its row in the place of one that lab L made by hand",
        (f"{MEMORY}/local.py", "            if taken:\n", "            if False:\n"),
    ),
    in_memory(
        "prompt inside the transfer",
        'rows are marked while a person thinks, and a "no" leaves them marked',
        (
            f"{USE_CASES}/delete.py",
            "    if not keys or not confirm(removal):\n",
            "    _mark(ports, Transfer(operation=Operation.DELETE, owner=ports.owner), keys)\n    if not keys or not confirm(removal):\n",
        ),
    ),
    in_memory(
        "more than was shown",
        "a delete takes rows along that nobody has seen and confirmed",
        (
            f"{MEMORY}/local.py",
            "            if confirmed is not None and found.exceeds(confirmed):\n",
            "            if False:\n",
        ),
    ),
    in_memory(
        "no recovery",
        "what was interrupted stays open",
        (
            f"{USE_CASES}/recovery.py",
            "    for found in ports.outbound.open_transfers():\n",
            "    for found in ports.outbound.open_transfers()[:0]:\n",
        ),
    ),
    in_memory(
        "a failure is a rollback",
        "a lost reply to COMMIT is taken for a commit that did not happen",
        (
            f"{USE_CASES}/recovery.py",
            "        outcome = ports.local.abandon(transfer)\n        settled",
            "        outcome = Outcome.ABANDONED\n        settled",
        ),
    ),
    in_memory(
        "repair: steal",
        "rows that another transfer is at work on are put under a repair's",
        (
            f"{MEMORY}/source.py",
            "lapsed = known is not None and self._is_settled(key) and (",
            "lapsed = known is not None and (",
        ),
    ),
    in_memory(
        "repair: keep what is not local",
        "what is registered again stays so, be it local or not",
        (
            f"{USE_CASES}/repair.py",
            "        settled = finish(self.ports, transfer, outcome)\n",
            "        self.ports.outbound.close(transfer)\n        settled = Settled()\n",
        ),
    ),
    in_memory(
        "repair: first looks",
        "what is wrong is believed at the first look, while other runs are at work",
        (f"{USE_CASES}/looking.py", "    if unsure:\n", "    if False:\n"),
    ),
]

PG = "--pairs postgresql-to-postgresql"
MARIADB = "--pairs mariadb-to-mariadb"
RACES, GUARD, CONTRACT = (
    "tests/integration/test_races.py",
    "tests/integration/test_guard.py",
    "tests/integration/test_contract.py",
)
FAULTS = "tests/integration/test_faults.py"
KILLED = "tests/integration/test_interruptions.py"

ON_SERVERS = [
    on_servers(
        "SQL: no decision",
        "as above, in SQL",
        f"{CONTRACT} {PG}",
        (f"{SQL}/local.py", "            self._decide(session, transfer, Outcome.DONE)\n", "            pass\n"),
    ),
    on_servers(
        "SQL: read, not fence",
        "as above, in SQL",
        f"{RACES} {PG}",
        (
            f"{SQL}/local.py",
            "                self._decide(session, transfer, Outcome.ABANDONED)\n",
            "                found = self._decided(session, transfer)\n                return found\n",
        ),
        (
            f"{SQL}/local.py",
            "        return Outcome(found[0][0])\n",
            "        return Outcome(found[0][0]) if found else Outcome.ABANDONED\n",
        ),
    ),
    on_servers(
        "SQL: NOT EXISTS (… open …)",
        "after a wait PostgreSQL judges a row's new version by the old snapshot, and steals a mark",
        f"{RACES} {PG}",
        (
            f"{SQL}/evidence.py",
            'return f"EXISTS (SELECT 1 FROM {self.journal} j WHERE j.transfer = o.{TRANSFER} AND j.closed IS NOT NULL)"',
            'return f"NOT EXISTS (SELECT 1 FROM {self.journal} j WHERE j.transfer = o.{TRANSFER} AND j.closed IS NULL)"',
        ),
    ),
    on_servers(
        "SQL: flags before locks",
        "a request that is under way while its registration is given up disappears",
        f"{RACES} {PG}",
        (
            f"{SQL}/outbound.py",
            'mine = chosen.under(transfer, f"NOT {tables.flagged(tables.approved)}", lock=True)',
            'mine = chosen.under(transfer, f"NOT {tables.flagged(tables.approved)}", lock=False)',
        ),
    ),
    on_servers(
        "SQL: two snapshots",
        "READ COMMITTED: a master of one version with a part of the next",
        f"{RACES} -k parts_that_come",
        (f"{SQL}/outbound.py", "        with session.snapshot([", "        with session.transaction(["),
    ),
    on_servers(
        "SQL: snapshot before the locks",
        "a part that an ALTER TABLE rewrites just after is empty in the snapshot",
        f"{RACES} -k rewritten {PG}",
        (f"{SQL}/session.py", 'self.query(f"LOCK TABLE', '(f"LOCK TABLE'),
    ),
    on_servers(
        "SQL: transfers of another link",
        "as above, in SQL",
        f"{RACES} {PG}",
        (
            f"{SQL}/outbound.py",
            'f" WHERE link = {speech.uuid} AND closed IS NULL',
            'f" WHERE link <> {speech.uuid} OR closed IS NULL',
        ),
    ),
    on_servers(
        "SQL: guard off, PostgreSQL",
        "DataJoint's delete takes the registration along",
        f"{GUARD} {PG}",
        (f"{SQL}/guard.py", "        _postgresql(session, names, keys, link)\n", ""),
    ),
    on_servers(
        "SQL: guard off, MySQL family",
        "DataJoint's delete takes the registration along",
        f"{GUARD} {MARIADB}",
        (f"{SQL}/guard.py", "        _mysql_triggers(session, names, keys, link)\n", "        pass\n"),
    ),
    on_servers(
        "SQL: foreign key CASCADE",
        "lab S's bare DELETE or UPDATE of a key takes the registration along",
        f"{GUARD} {MARIADB}",
        (f"{SQL}/layout.py", '"NO ACTION" if session.backend == "postgresql" else "RESTRICT"', '"CASCADE"'),
    ),
    on_servers(
        "SQL: a retried statement",
        "a lost connection is replaced in the middle of a transaction, whose first half is gone",
        f"{KILLED} --pairs postgresql-to-mariadb",
        (
            f"{SQL}/session.py",
            "            with watched(self.connection):\n                cursor.execute(statement, tuple(args))\n",
            "            try:\n"
            "                cursor.execute(statement, tuple(args))\n"
            "            except Exception:\n"
            "                self.connection.connect()\n"
            "                cursor = self.connection.adapter.get_cursor(self.connection._conn)\n"
            "                cursor.execute(statement, tuple(args))\n",
        ),
    ),
    on_servers(
        "SQL: taken again and not held",
        "a row whose approval lab S has deleted is pulled again, and lab S deletes it under the local row",
        f"{FAULTS} -k takes_approvals_back",
        (f"{SQL}/outbound.py", ' AND {unflagged}", hold=True)', ' AND {unflagged}")'),
    ),
    on_servers(
        "SQL: register after read",
        "rows are read, then registered: what lab S deletes in between is copied all the same",
        f"{FAULTS} -k deletes-pull",
        (
            f"{USE_CASES}/pull.py",
            "        chunk = ports.outbound.register(transfer, fresh, lost)\n",
            "        chunk = ports.source.read([*fresh, *lost])\n        ports.outbound.register(transfer, fresh, lost)\n",
        ),
    ),
    on_servers(
        "SQL: the lock alone",
        "as above, in SQL",
        f"{FAULTS} -k recover_meanwhile-pull",
        (
            f"{USE_CASES}/recovery.py",
            ABANDON,
            "            outcome = Outcome.ABANDONED\n        except Busy:\n            continue\n",
        ),
    ),
    on_servers(
        "SQL: no recovery",
        "as above, on servers",
        f"{FAULTS} -k kill_before",
        (
            f"{USE_CASES}/recovery.py",
            "    for found in ports.outbound.open_transfers():\n",
            "    for found in ports.outbound.open_transfers()[:0]:\n",
        ),
    ),
    on_servers(
        "SQL: counted ids",
        "ids are counted by each process and so used again",
        f"{FAULTS} -k kill_before",
        (
            f"{DOMAIN}/transfers.py",
            "    id: UUID = field(factory=uuid4)\n",
            "    id: UUID = field(factory=lambda: UUID(int=next(COUNTED)))\n",
        ),
        (f"{DOMAIN}/transfers.py", "class Operation(Enum):", "COUNTED = iter(range(10**6))\n\n\nclass Operation(Enum):"),
    ),
    on_servers(
        "SQL: blind release",
        "finishing gives registrations up without looking at the local table",
        f"{CONTRACT} {PG}",
        (f"{USE_CASES}/recovery.py", LOOK, BLIND),
    ),
    on_servers(
        "SQL: a link ends while it begins",
        "a transfer is opened without locking outbound's entry, which drop takes away at the same time",
        "tests/integration/test_link_end.py -k end_waits",
        (f"{SQL}/outbound.py", "r.local_server = %s {speech.share}", "r.local_server = %s"),
    ),
    on_servers(
        "SQL: registered after the end",
        "a run that was under way when its link ended registers all the same",
        "tests/integration/test_link_end.py -k read_before",
        (f"{SQL}/outbound.py", "        if opened != 1:\n", "        if False:\n"),
    ),
    on_servers(
        "SQL: repair without a hold",
        "what is registered again is not held by the guard",
        "tests/integration/test_contract.py -k TestServersDamage",
        (f"{SQL}/outbound.py", 'AND {lapsed}", hold=True)', 'AND {lapsed}")'),
    ),
    on_servers(
        "SQL: errors outside the seam",
        "a connection that dies while DataJoint works out a cascade ends in an error that is not Link's",
        f"{FAULTS} -k kill_local-delete",
        (
            f"{SQL}/cascade.py",
            "        with session.translating():\n            expression",
            "        with nullcontext():\n            expression",
        ),
        (f"{SQL}/cascade.py", "from contextlib import contextmanager", "from contextlib import contextmanager, nullcontext"),
    ),
]

MUTANTS = [*IN_MEMORY, *ON_SERVERS]
