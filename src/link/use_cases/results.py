"""What the use cases return: frozen, and one line when printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from link.domain.errors import ValueNotRepresentable
    from link.domain.keys import Key
    from link.domain.states import Inconsistency
    from link.use_cases.ports import Difference


def _line(head: str, parts: Mapping[str, int], seconds: float) -> str:
    told = [f"{count:,} {what}" for what, count in parts.items() if count]
    return f"{', '.join([head, *told])} ({seconds:.1f} s)"


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
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = {
            "already local": self.already_local,
            "held back (deletion requested)": self.held_back,
            "busy": self.busy,
            "transfers recovered": self.recovered,
            "withdrawn approvals released": self.released,
            "deletions approved": self.approved,
            "conflicts": len(self.conflicts),
            "inconsistent": len(self.inconsistent),
            "left out (not representable)": len(self.not_representable),
        }
        return _line(f"pulled {self.pulled:,}" if self.pulled else "nothing new", parts, self.seconds)


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
            "withdrawn approvals released": self.released,
            "transfers recovered": self.recovered,
        }
        return _line(f"{self.requested:,} deletion{'s' if self.requested != 1 else ''} requested", parts, self.seconds)


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
            "transfers recovered": self.recovered,
            "dependent rows": sum(list(self.removal.values())[1:]),
        }
        head = f"deleted {int(self):,}" if self else "nothing deleted"
        return _line(head, parts, self.seconds)

    __str__ = __repr__


def _rebuild_delete_result(deleted: int, facts: dict[str, Any]) -> DeleteResult:
    return DeleteResult(deleted, **facts)
