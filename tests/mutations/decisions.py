"""Who owns a transfer, what was decided about it, and who may finish it."""

from __future__ import annotations

from mutant import ABANDON, DOMAIN, MEMORY, REFUSED, USE_CASES, in_memory

DECISIONS = [
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
            "if self._is_settled(key) and key not in flagged and key not in taken",
            "if key not in flagged and key not in taken",
        ),
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
        "prune",
        "decisions are deleted once their transfer is closed",
        (
            f"{MEMORY}/source.py",
            "                entry.is_open = False\n",
            "                entry.is_open = False\n                self.world.decisions.pop(transfer.id, None)\n",
        ),
    ),
    in_memory(
        "close before commit",
        "a pull's transfer is closed while its rows are not local yet, so that they seem to be lost",
        (
            f"{USE_CASES}/pull.py",
            "        if fits:\n            ports.local.commit_pull",
            "        ports.outbound.close(transfer)\n        if fits:\n            ports.local.commit_pull",
        ),
    ),
    in_memory(
        "closed without a decision",
        "a chunk of nothing leaves no record, and the local server passes for a backup from then on",
        (
            f"{USE_CASES}/pull.py",
            "Outcome.DONE if fits else ports.local.abandon(transfer)",
            "ports.local.abandon(transfer) if unfit else Outcome.DONE",
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
]
