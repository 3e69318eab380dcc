"""A way to break the protocol, as the text that breaks it."""

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
