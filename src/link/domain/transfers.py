"""Transfers: the units in which entities move, and what can be known of them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from attrs import field, frozen

if TYPE_CHECKING:
    from datetime import datetime


class Operation(Enum):
    """What a transfer does to its entities."""

    PULL = "pull"
    DELETE = "delete"


class Outcome(Enum):
    """How a transfer was decided; the first record on the local server wins, and stays for ever."""

    DONE = "done"
    ABANDONED = "abandoned"


@frozen(kw_only=True)
class Transfer:
    """One chunk of entities on its way, known to both servers by a random 128-bit id."""

    operation: Operation
    id: UUID = field(factory=uuid4)
    """Random and made by the client: a counter would be used again by a server restored from a backup."""
    owner: UUID = field(factory=uuid4)
    """The run that opened it; the advisory lock that shows the run to be alive is named after this id."""


@frozen(kw_only=True)
class OpenTransfer:
    """A transfer that the journal shows as not yet closed."""

    transfer: Transfer
    opened: datetime
    who: str
    """The user and host that opened it, for messages."""
