"""What happens to rows, registrations and flags within a transfer."""

from __future__ import annotations

from mutant import BLIND, DOMAIN, LOOK, MEMORY, USE_CASES, in_memory

MOVES = [
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
        "keep what is unfit registered",
        "a chunk with values that the local server cannot hold is closed as if it were done, and stays registered",
        (
            f"{USE_CASES}/pull.py",
            "Outcome.DONE if fits else ports.local.abandon(transfer)",
            "Outcome.DONE if fits or unfit else ports.local.abandon(transfer)",
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
        (f"{MEMORY}/source.py", "if self._is_settled(key) and key not in flagged and", "if self._is_settled(key) and"),
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
