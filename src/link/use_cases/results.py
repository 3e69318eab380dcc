"""What the use cases return: frozen, and printed as one line, with one for each of the first entities left out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import frozen

from link.domain.findings import REMEDIES, Cure, Weight
from link.domain.keys import spelled
from link.domain.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from link.domain.errors import ObjectMissing, ValueNotRepresentable
    from link.domain.findings import Finding, Trouble
    from link.domain.keys import Key
    from link.domain.states import Inconsistency
    from link.use_cases.inspection import ObjectFault
    from link.use_cases.ports import Difference


def _line(head: str, parts: Mapping[str, int], seconds: float) -> str:
    told = [f"{count:,} {what.format(s=_s(count))}" for what, count in parts.items() if count]
    return f"{', '.join([head, *told])} ({seconds:.1f} s)"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


@frozen(kw_only=True)
class PullResult:
    """What a pull did; all counts are entities, but for `recovered`, which counts transfers."""

    pulled: int = 0
    already_local: int = 0
    held_back: int = 0
    """Not pulled because their deletion was requested or approved."""
    busy: int = 0
    """Left alone because another transfer is at work on them."""
    recovered: int = 0
    """Interrupted transfers finished or undone on the way."""
    released: int = 0
    """Withdrawn approvals released on the way."""
    approved: int = 0
    """Requested deletions approved on the way because the local row was gone already."""
    conflicts: Sequence[Difference] = ()
    """Local rows that Link did not bring and that stand in the way; nothing was overwritten."""
    inconsistent: Sequence[tuple[Key, Inconsistency]] = ()
    """Keys left alone because what the servers say of them does not fit together."""
    not_representable: Sequence[ValueNotRepresentable] = ()
    """Entities left out because of a value that the local server cannot hold exactly; an error for each, which says why."""
    objects_missing: Sequence[ObjectMissing] = ()
    """Entities left out because an object that they name is missing, damaged or in the way of another; an error for each."""
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = {
            "already local": self.already_local,
            "held back (deletion requested)": self.held_back,
            "busy": self.busy,
            "transfer{s} recovered": self.recovered,
            "withdrawn approval{s} released": self.released,
            "deletion{s} approved": self.approved,
            "conflict{s}": len(self.conflicts),
            "inconsistent": len(self.inconsistent),
            "left out (not representable)": len(self.not_representable),
            "left out (object{s} missing, damaged or in the way)": len(self.objects_missing),
        }
        left_out = [fault.what() for fault in (*self.not_representable, *self.objects_missing)]
        more = [f"and {len(left_out) - SHOWN:,} more"] if len(left_out) > SHOWN else []
        line = _line(f"pulled {self.pulled:,}" if self.pulled else "nothing new", parts, self.seconds)
        return "\n  ".join([line, *left_out[:SHOWN], *more])

    __repr__ = __str__


@frozen(kw_only=True)
class RefreshResult:
    """What a refresh did; all counts are entities, but for `recovered`, which counts transfers."""

    requested: int = 0
    """Requests shown locally now."""
    new: int = 0
    withdrawn: int = 0
    approved: int = 0
    released: int = 0
    recovered: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = {
            "new": self.new,
            "withdrawn": self.withdrawn,
            "approved (not local any more)": self.approved,
            "withdrawn approval{s} released": self.released,
            "transfer{s} recovered": self.recovered,
        }
        return _line(f"{self.requested:,} deletion{_s(self.requested)} requested", parts, self.seconds)

    __repr__ = __str__


class DeleteResult(int):
    """The number of masters deleted, with the rest of what happened as attributes."""

    released: int
    approved: int
    recovered: int
    removal: Mapping[str, int]
    seconds: float

    def __new__(
        cls,
        deleted: int,
        *,
        released: int = 0,
        approved: int = 0,
        recovered: int = 0,
        removal: Mapping[str, int] | None = None,
        seconds: float = 0.0,
    ) -> DeleteResult:
        """Make the number `deleted` that carries the rest; all counts are entities, `recovered` counts transfers."""
        self = super().__new__(cls, deleted)
        facts = {
            "released": released,
            "approved": approved,
            "recovered": recovered,
            "removal": dict(removal or {}),
            "seconds": seconds,
        }
        self.__dict__.update(facts)
        return self

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: a result is what it is."""
        message = f"{type(self).__name__} is frozen; {name} cannot be set"
        raise AttributeError(message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the facts through pickling."""
        return _rebuild_delete_result, (int(self), dict(self.__dict__))

    def __repr__(self) -> str:
        parts = {
            "released": self.released,
            "approved": self.approved,
            "transfer{s} recovered": self.recovered,
            "dependent row{s}": sum(list(self.removal.values())[1:]),
        }
        head = f"deleted {int(self):,}" if self else "nothing deleted"
        return _line(head, parts, self.seconds)

    __str__ = __repr__


def _rebuild_delete_result(deleted: int, facts: dict[str, Any]) -> DeleteResult:
    return DeleteResult(deleted, **facts)


SHOWN = 20
"""How many of what is left, or left out, a report names; the result has them all."""


def _told(finding: Finding) -> list[str]:
    """Say in a few lines what was found, where, and what becomes of it."""
    remedy, trouble = finding.remedy, finding.trouble.value
    lines = [
        f"{remedy.weight.value:>8}: {finding.count:,} {trouble}" if finding.keys else f"{remedy.weight.value:>8}: {trouble}"
    ]
    if finding.keys:
        more = f" and {finding.count - len(finding.keys):,} more" if finding.count > len(finding.keys) else ""
        lines.append(f"{'':10}{', '.join(spelled(key) for key in finding.keys)}{more}")
    lines += [f"{'':10}{line}" for line in finding.detail.splitlines()]
    if remedy.cure is not Cure.LEAVE:
        lines.append(f"{'':10}repair(): {remedy.cure.value}")
    if remedy.person:
        lines.append(f"{'':10}you: {remedy.person}")
    return lines


def _advice(trouble: Trouble) -> str:
    """Say what to do about a key that is left, be it because something else has to be done before."""
    remedy = REMEDIES[trouble]
    return f"{trouble.value}: {remedy.person or f'repair() again ({remedy.cure.value})'}"


@frozen(kw_only=True, repr=False)
class DoctorResult:
    """What a check found; a short report when printed, one line where everything is well."""

    findings: Sequence[Finding] = ()
    """The gravest first."""
    states: Mapping[State, int] | None = None
    """How many registered or local entities are in which state."""
    lines: Sequence[str] = ()
    """Each connection: server, version, user, encrypted or not."""
    readable: bool = True
    """Whether the tables were there, so that keys were looked at."""
    seconds: float = 0.0

    def __attrs_post_init__(self) -> None:
        order = list(Weight)
        found = tuple(sorted(self.findings, key=lambda finding: order.index(finding.remedy.weight)))
        object.__setattr__(self, "findings", found)

    @property
    def healthy(self) -> bool:
        """Whether the promise holds and nothing is left to do; notes do not count."""
        return all(finding.remedy.weight is Weight.NOTE for finding in self.findings)

    def __str__(self) -> str:
        told = [line for finding in self.findings for line in _told(finding)]
        return "\n".join([self._head(), *told])

    __repr__ = __str__

    def _head(self) -> str:
        counts = {f"{state.value}": count for state, count in (self.states or {}).items() if state is not State.ABSENT}
        kinds = [finding for finding in self.findings if finding.remedy.weight is not Weight.NOTE]
        head = "healthy" if self.healthy else f"{len(kinds)} kind{_s(len(kinds))} of trouble"
        seen = "" if self.readable else "; keys were not looked at"
        return _line(head, counts, self.seconds) + "".join(f"; {line}" for line in self.lines) + seen


@frozen(kw_only=True, repr=False)
class RepairResult:
    """What a repair did, and what it leaves, key by key."""

    done: Mapping[str, int]
    """How many entities were registered again, released, …; transfers for those finished."""
    keys: Sequence[tuple[Mapping[str, str], Trouble]] = ()
    """Every key that something is still wrong with."""
    findings: Sequence[Finding] = ()
    """What is still wrong apart from keys."""
    confirmed: bool = True
    """Whether anything was done at all: there was something to do, and nobody said no."""
    seconds: float = 0.0

    @property
    def healthy(self) -> bool:
        """Whether nothing is left but notes."""
        weights = [finding.remedy.weight for finding in self.findings]
        weights += [REMEDIES[trouble].weight for _, trouble in self.keys]
        return all(weight is Weight.NOTE for weight in weights)

    def __str__(self) -> str:
        head = _line("repaired" if any(self.done.values()) else "nothing repaired", self._counts(), self.seconds)
        told = [line for finding in self.findings for line in _told(finding)]
        left = [f"    left: {spelled(key)} {trouble.value}" for key, trouble in self.keys[:SHOWN]]
        more = len(self.keys) - SHOWN
        advice = dict.fromkeys(_advice(trouble) for _, trouble in self.keys)
        rest = [f"          and {more:,} more, in .keys"] if more > 0 else []
        return "\n".join([head, *left, *rest, *(f"     you: {line}" for line in advice), *told])

    __repr__ = __str__

    def _counts(self) -> dict[str, int]:
        return {what: count for what, count in self.done.items() if count} | {"keys left": len(self.keys)}


@frozen(kw_only=True, repr=False)
class VerifyResult:
    """What a look at the stored objects of local rows found; one line where everything is well."""

    objects: int = 0
    """How many values name an object; those that share one count each."""
    size: int = 0
    """Bytes looked at."""
    faults: Sequence[ObjectFault] = ()
    """Every object that is missing, not what its row says, or not readable."""
    deep: bool = False
    """Whether contents were read and compared, or sizes alone."""
    seconds: float = 0.0

    @property
    def healthy(self) -> bool:
        """Whether every object is there and what its row says, as far as was looked."""
        return not self.faults

    def __str__(self) -> str:
        how = "content" if self.deep else "size"
        head = f"verified {self.objects:,} object{_s(self.objects)} ({self.size / 1e6:,.1f} MB) by {how}"
        counts = Counter(fault.harm.value for fault in self.faults)
        told = [f"    {fault}" for fault in self.faults[:SHOWN]]
        more = len(self.faults) - SHOWN
        rest = [f"    and {more:,} more, in .faults"] if more > 0 else []
        advice = dict.fromkeys(THEIRS if fault.is_theirs else WHOLE_AGAIN for fault in self.faults)
        return "\n".join([_line(head, counts, self.seconds), *told, *rest, *(f"    you: {line}" for line in advice)])

    __repr__ = __str__


WHOLE_AGAIN = "put the object back at its path from a backup; or remove what is there, delete() the rows and pull() them again"
"""What to do about a copy that is wrong."""
THEIRS = "tell lab S, whose object it is: the rows point at it by reference"
"""What to do about an object of lab S's that is wrong."""
