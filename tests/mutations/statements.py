"""The same and more in SQL: only servers can show these, by the tests that each names."""

from __future__ import annotations

from mutant import ABANDON, BLIND, DOMAIN, LOOK, SQL, USE_CASES, on_servers

PG = "--pairs postgresql-to-postgresql"
MARIADB = "--pairs mariadb-to-mariadb"
RACES, GUARD, CONTRACT = (
    "tests/integration/test_races.py",
    "tests/integration/test_guard.py",
    "tests/integration/test_contract.py",
)
FAULTS = "tests/integration/test_faults.py"
KILLED = "tests/integration/test_interruptions.py"

STATEMENTS = [
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
            "        if outcome is None:\n            raise AssertionError\n",
            "        if outcome is None:\n            return Outcome.ABANDONED\n",
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
        (f"{SQL}/outbound.py", "lock=True, own=own)", "lock=False, own=own)"),
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
        "SQL: lost rows are released",
        "a pull that is undone gives up rows that an earlier one has registered, and lab S may delete them",
        "tests/integration/test_contract.py -k 'TestServers and undone_keeps'",
        (f"{SQL}/outbound.py", "lock=True, own=own)", "lock=True)"),
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
    on_servers(
        "objects: not on record",
        "a garbage collection removes what a pull has copied before its rows are there",
        f"{FAULTS} -k objects.collected-pull",
        (f"{SQL}/carrier.py", "            flight.record(self.session(), transfer, self._entries(packing))\n", ""),
    ),
    on_servers(
        "objects: left out with their faults unseen",
        "a row is committed whose object is missing",
        "tests/integration/test_objects.py -k wrong_object",
        (f"{SQL}/carrier.py", "                packing.blame(move.owners, error)\n", "                pass\n"),
    ),
    on_servers(
        "objects: a trial that lasts",
        "a process that dies while it tries a store out leaves a file for ever",
        f"{FAULTS} -k objects.killed-pull",
        (f"{SQL}/stores.py", "place.try_out(trial)", 'place.write(trial, [b"x"], trial.rpartition("/")[0]).finish()'),
    ),
    on_servers(
        "objects: named before they are on the disk",
        "a loss of power after the commit takes an object with it",
        "tests/integration/test_object_faults.py -k on_disk",
        (f"{SQL}/places.py", "        os.fsync(self.number)\n", ""),
    ),
    on_servers(
        "objects: an earlier try is believed",
        "a row is committed whose copy has gone since the chunk was first tried",
        "tests/integration/test_object_records.py -k second_try",
        (f"{SQL}/moving.py", " and move.local.place.size(move.goal) is not None", ""),
    ),
    on_servers(
        "objects: a store that is not mounted",
        "a pull leaves everything out, and the user reads a line for each object instead of the one that is true",
        "tests/integration/test_objects.py -k not_mounted",
        (f"{SQL}/moving.py", "        self._check_mounted()\n", ""),
    ),
]
