"""What a check of a link can find: every kind with its weight, what `repair` does about it, and what a person must do.

Findings about keys come from the table of states; the others are about the tables, the guard and the servers themselves.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from link.domain.states import Evidence, Inconsistency, State, classify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Weight(Enum):
    """How much a finding matters."""

    BROKEN = "broken"
    """The promise does not hold, or nothing guards it."""
    TO_DO = "to do"
    """The promise holds; something is unfinished or waits for a decision."""
    NOTE = "note"
    """Good to know."""


class Cure(Enum):
    """What `repair` does about a finding; none of it takes a local or a source row away."""

    REGISTER_AGAIN = "register it again, or settle its flags where it is not local"
    APPROVE = "approve its deletion"
    RELEASE = "release it"
    CLEAR = "clear away its registration and flags"
    CLEAR_FLAGS = "clear away its flags"
    REFRESH = "bring the requests shown locally in line"
    FINISH = "finish or undo the transfer"
    MEND = "make it again"
    LEAVE = "leave it to a person"


class Trouble(Enum):
    """Everything that can be found."""

    LOCAL_UNREGISTERED = "local and in the source, but not registered"
    LOCAL_ALONE = "local, but neither registered nor in the source"
    OWN_ROW = "a row of lab L's own: neither registered nor in the source"
    LOCAL_DIFFERS = "local and in the source with other contents, and not registered"
    SOURCE_ROW_MISSING = "local and registered, but not in the source"
    REGISTRATION_ALONE = "registered, but neither in the source nor local"
    APPROVED_BUT_LOCAL = "deletion approved, but still local"
    UNHELD = "registered, but not held by the guard"
    FLAG_ALONE = "in the source and flagged for deletion, but not registered"
    FLAG_STRAY = "flagged for deletion, but neither in the source nor registered"
    TRANSFER_ALONE = "part of an open transfer, but not registered"
    LOST_LOCALLY = "registered, but not local"
    LOST_REQUESTED = "registered and requested, but not local"
    WITHDRAWN = "approved, but the request was withdrawn"
    PARTS_MISSING = "has fewer part rows locally than in the source"
    PARTS_LEFT_OVER = "has more part rows locally than in the source"
    PART_ALONE = "has part rows locally, but no master"
    REQUEST_NOT_SHOWN = "requested at the source, not shown locally"
    REQUEST_SHOWN_ONLY = "shown locally as requested, not requested at the source"
    TRANSFER_INTERRUPTED = "transfer interrupted: its process is gone"
    TRANSFER_LONG = "transfer under way for long"
    DECISION_UNKNOWN = "decisions here about transfers that the source does not know"
    DECISION_MISSING = "transfers of registered rows that the local server has not decided"
    JOURNAL = "registered under transfers that the journal has lost"
    NOT_LINKED = "no local table yet"
    LOCAL_TABLE_MISSING = "the local table is gone"
    LOCAL_BOOKS_MISSING = "tables of Link's own are missing in the local schema"
    COPY_CHANGED = "the local table is not as it was declared"
    SOURCE_TABLE_MISSING = "the source table cannot be read"
    DECLARATION_CHANGED = "the source's declaration has changed"
    OUTBOUND_MISSING = "tables are missing in the outbound schema"
    OUTBOUND_TAKEN = "outbound serves another local table"
    OUTBOUND_SHARED = "another link has transfers on this outbound table"
    LOCAL_SIDE_MOVED = "outbound serves this table at another place"
    LOCAL_SIDE_BEHIND = "the local server does not know the link's last transfer"
    GUARD = "the guard is missing or altered"
    FOREIGN_KEY = "a foreign key of outbound is missing or altered"
    GRANT_MISSING = "a right is missing"
    GRANT_TOO_WIDE = "a right is too wide"
    CLOCK = "the servers' clocks differ"
    VERSION = "versions differ"
    READABLE_REFUSAL = "the guard could say who uses a row"


@frozen
class Remedy:
    """What becomes of one kind of finding."""

    weight: Weight
    cure: Cure
    """What `repair` does about it, with a key or with the link as a whole."""
    person: str = ""
    """What a person must do where `repair` does nothing, or when it is done."""


_BACK = "pull() brings the row back, or says what keeps it away; repair(release_lost=True) lets it go"
_NEXT = "nothing: repair() and the next pull, delete or refresh settle it"
_GONE = "lab S puts the row back (the local one has its contents), or lab L lets it go with delete(); it stays registered"
_PARTS = "delete() the entity and pull() it again to have it as the source has it now"

REMEDIES: dict[Trouble, Remedy] = {
    Trouble.LOCAL_UNREGISTERED: Remedy(Weight.BROKEN, Cure.REGISTER_AGAIN),
    Trouble.LOCAL_ALONE: Remedy(
        Weight.BROKEN,
        Cure.LEAVE,
        "lab S puts the row back and repair() registers it, or lab L removes it with delete(); a row of lab L's own may stay",
    ),
    Trouble.OWN_ROW: Remedy(Weight.NOTE, Cure.LEAVE),
    Trouble.LOCAL_DIFFERS: Remedy(
        Weight.BROKEN, Cure.LEAVE, "compare the two rows; delete() the local one, which tells nobody, then pull()"
    ),
    Trouble.SOURCE_ROW_MISSING: Remedy(Weight.BROKEN, Cure.LEAVE, _GONE),
    Trouble.REGISTRATION_ALONE: Remedy(Weight.BROKEN, Cure.CLEAR),
    Trouble.APPROVED_BUT_LOCAL: Remedy(Weight.BROKEN, Cure.REGISTER_AGAIN),
    Trouble.UNHELD: Remedy(Weight.BROKEN, Cure.REGISTER_AGAIN),
    Trouble.FLAG_ALONE: Remedy(Weight.TO_DO, Cure.REGISTER_AGAIN),
    Trouble.FLAG_STRAY: Remedy(Weight.TO_DO, Cure.CLEAR_FLAGS),
    Trouble.TRANSFER_ALONE: Remedy(Weight.BROKEN, Cure.LEAVE, "look at the journal and outbound with an admin of lab S"),
    Trouble.LOST_LOCALLY: Remedy(Weight.TO_DO, Cure.LEAVE, _BACK),
    Trouble.LOST_REQUESTED: Remedy(Weight.TO_DO, Cure.APPROVE, _NEXT),
    Trouble.WITHDRAWN: Remedy(Weight.TO_DO, Cure.RELEASE, _NEXT),
    Trouble.PARTS_MISSING: Remedy(Weight.TO_DO, Cure.LEAVE, _PARTS),
    Trouble.PARTS_LEFT_OVER: Remedy(Weight.TO_DO, Cure.LEAVE, _PARTS),
    Trouble.PART_ALONE: Remedy(Weight.TO_DO, Cure.LEAVE, "remove the part rows with SQL; until then it cannot be pulled"),
    Trouble.REQUEST_NOT_SHOWN: Remedy(Weight.NOTE, Cure.REFRESH, "refresh() shows it"),
    Trouble.REQUEST_SHOWN_ONLY: Remedy(Weight.NOTE, Cure.REFRESH, "refresh() takes it away"),
    Trouble.TRANSFER_INTERRUPTED: Remedy(Weight.TO_DO, Cure.FINISH, _NEXT),
    Trouble.TRANSFER_LONG: Remedy(Weight.NOTE, Cure.LEAVE, "let it end, or end the process; then call repair()"),
    Trouble.DECISION_UNKNOWN: Remedy(
        Weight.NOTE, Cure.LEAVE, "nothing more: the source seems to come from a backup; the findings above say what that did"
    ),
    Trouble.DECISION_MISSING: Remedy(
        Weight.NOTE,
        Cure.LEAVE,
        "nothing more: the local side seems to come from a backup; the findings above say what that did",
    ),
    Trouble.JOURNAL: Remedy(Weight.TO_DO, Cure.MEND),
    Trouble.NOT_LINKED: Remedy(Weight.NOTE, Cure.LEAVE, "the first use of the class makes it"),
    Trouble.LOCAL_TABLE_MISSING: Remedy(
        Weight.TO_DO,
        Cure.LEAVE,
        "use the class, which makes the table again; then pull() brings its rows, drop() lets them go",
    ),
    Trouble.LOCAL_BOOKS_MISSING: Remedy(Weight.BROKEN, Cure.MEND),
    Trouble.COPY_CHANGED: Remedy(
        Weight.BROKEN, Cure.LEAVE, "put the local tables back as they were, with their rows or empty, then repair()"
    ),
    Trouble.SOURCE_TABLE_MISSING: Remedy(Weight.BROKEN, Cure.LEAVE, "ask lab S for the table, or for the right to read it"),
    Trouble.DECLARATION_CHANGED: Remedy(
        Weight.TO_DO, Cure.LEAVE, "ask lab S to undo the change, or drop() the local table and link again"
    ),
    Trouble.OUTBOUND_MISSING: Remedy(Weight.BROKEN, Cure.MEND),
    Trouble.OUTBOUND_TAKEN: Remedy(
        Weight.BROKEN,
        Cure.LEAVE,
        "give one of the two another outbound schema; where the other table is gone for good, take its place with adopt()",
    ),
    Trouble.OUTBOUND_SHARED: Remedy(
        Weight.BROKEN, Cure.LEAVE, "find the other local table and give it another outbound schema"
    ),
    Trouble.LOCAL_SIDE_MOVED: Remedy(
        Weight.BROKEN,
        Cure.LEAVE,
        "adopt() where this is the real one and the other is gone for good; drop the clone otherwise",
    ),
    Trouble.LOCAL_SIDE_BEHIND: Remedy(
        Weight.BROKEN,
        Cure.LEAVE,
        "adopt(), then repair(), where this comes from a backup and no copy of it is in use; work on the other copy otherwise",
    ),
    Trouble.GUARD: Remedy(
        Weight.BROKEN, Cure.MEND, "where it stays: grant the link user the rights of set-up, repair() again"
    ),
    Trouble.FOREIGN_KEY: Remedy(
        Weight.BROKEN, Cure.MEND, "where it stays: settle the named keys, then let an admin of lab S run the statements"
    ),
    Trouble.GRANT_MISSING: Remedy(Weight.TO_DO, Cure.MEND, "where it stays: let an admin of lab S run the statements"),
    Trouble.GRANT_TOO_WIDE: Remedy(Weight.TO_DO, Cure.LEAVE, "let an admin of lab S run the statement"),
    Trouble.CLOCK: Remedy(Weight.NOTE, Cure.LEAVE, "set the clocks; Link itself compares no times of two servers"),
    Trouble.VERSION: Remedy(Weight.NOTE, Cure.LEAVE, "bring the package to the newer version everywhere"),
    Trouble.READABLE_REFUSAL: Remedy(Weight.NOTE, Cure.LEAVE, "let an admin of lab S run the statement once"),
}


BLOCKING = frozenset(
    {
        *(Trouble.NOT_LINKED, Trouble.LOCAL_TABLE_MISSING, Trouble.SOURCE_TABLE_MISSING, Trouble.DECLARATION_CHANGED),
        *(Trouble.OUTBOUND_TAKEN, Trouble.LOCAL_SIDE_MOVED, Trouble.LOCAL_SIDE_BEHIND, Trouble.COPY_CHANGED),
    }
)
"""Findings that leave `repair` nothing to write to: a person comes first."""


@frozen(kw_only=True)
class Finding:
    """One kind of trouble: how often, and where."""

    trouble: Trouble
    count: int = 1
    keys: Sequence[Mapping[str, str]] = ()
    """Some of the keys concerned, with the names of their attributes; none for what is not about keys."""
    detail: str = ""

    @property
    def remedy(self) -> Remedy:
        """What becomes of it."""
        return REMEDIES[self.trouble]


def diagnose(evidence: Evidence) -> Trouble | None:
    """Return what is wrong with an entity, by its state; None where nothing is."""
    verdict = classify(evidence)
    if verdict is State.LOCAL_ONLY:
        return Trouble.LOCAL_UNREGISTERED if evidence.in_source else Trouble.LOCAL_ALONE
    if verdict is Inconsistency.REGISTRATION_WITHOUT_SOURCE:
        return Trouble.SOURCE_ROW_MISSING if evidence.in_local else Trouble.REGISTRATION_ALONE
    if verdict is Inconsistency.FLAG_WITHOUT_REGISTRATION:
        return Trouble.FLAG_ALONE if evidence.in_source else Trouble.FLAG_STRAY
    if verdict is State.LOST_LOCALLY:
        return Trouble.LOST_REQUESTED if evidence.requested else Trouble.LOST_LOCALLY
    return _TROUBLES.get(verdict)


_TROUBLES: dict[State | Inconsistency, Trouble] = {
    State.REQUEST_WITHDRAWN: Trouble.WITHDRAWN,
    Inconsistency.TRANSFER_WITHOUT_REGISTRATION: Trouble.TRANSFER_ALONE,
    Inconsistency.APPROVED_BUT_LOCAL: Trouble.APPROVED_BUT_LOCAL,
}
