"""The port that brings stored objects along."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from link.adapters.datajoint import flight, layout, linking
from link.adapters.datajoint.line import set_up_alone
from link.adapters.datajoint.model import Addressing
from link.adapters.datajoint.moving import Mover, unfinished
from link.adapters.datajoint.objects import Entry, Packing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from link.adapters.datajoint.model import EntityModel
    from link.adapters.datajoint.session import Session
    from link.adapters.datajoint.stores import StoreMap
    from link.domain.errors import ObjectMissing
    from link.domain.keys import Key
    from link.domain.transfers import Transfer
    from link.use_cases.ports import Chunk


@define(kw_only=True)
class _Tries:
    """What is known of a chunk that is moved again without what cannot come along, so that nothing is copied twice."""

    keys: set[Key]
    """Of the entities that are left."""
    goals: dict[tuple[object, ...], str] = field(factory=dict)
    arrived: set[tuple[object, ...]] = field(factory=set)
    """The identities of the files that are there."""
    expected: int = 0
    """Bytes of the whole chunk."""
    told: int = 0
    """Of them, those that `told` has heard of."""


@define(kw_only=True)
class Carrier:
    """Copies the objects of a chunk from store to store, and lets its rows name the copies."""

    stores: StoreMap
    entity: EntityModel
    session: Callable[[], Session]
    """The local server's."""
    beat: Callable[[], None]
    """Keeps both lines from falling asleep while objects are on their way."""
    told: Callable[[int], None]
    """Hears of bytes that have arrived."""
    _tries: _Tries | None = field(default=None, init=False)
    """Of the last chunk, where something of it could not come along."""

    def prepare(self) -> None:
        self._tries = None
        self.stores.check(self.entity)
        session = self.session()
        if not linking.table_exists(session, layout.IN_FLIGHT):
            with set_up_alone(session):
                for statement in layout.in_flight(session):
                    session.query(statement)
        flight.settle(session, self._drop_parts)

    def _drop_parts(self, store: str, path: str) -> bool:
        """Remove what a dead sender has left of an object, and say whether that is done; a store may be another link's.

        An upload that began within the time of grace may be somebody else's, of the same content.
        """
        before = datetime.now(timezone.utc) - timedelta(seconds=flight.GRACE)
        try:
            return self.stores.local.store(store, layout.IN_FLIGHT).place.drop_parts(path, before)
        except PermissionError:
            return True  # may not: a rule of the bucket has to
        except Exception:  # noqa: BLE001 - the place is not needed now; the record stays, and the next pull tries again
            return False

    def bring(self, transfer: Transfer, chunk: Chunk) -> tuple[Chunk, Sequence[tuple[int, ObjectMissing]]]:
        tries = self._tries if self._tries and self._tries.keys.issuperset(chunk.keys) else _Tries(keys={*chunk.keys})
        packing = Packing(stores=self.stores, goals=tries.goals)
        packed = packing.rows(self.entity, chunk)
        tries.expected = max(tries.expected, packing.size)
        if packing.moves and not packing.faults:
            flight.record(self.session(), transfer, self._entries(packing))
            mover = Mover(
                schema=self.stores.local_schema,
                beat=self.beat,
                told=lambda size: self._hear(tries, size),
                arrived=tries.arrived,
            )
            for move, error in mover.move(list(packing.moves.values())):
                packing.blame(move.owners, error)
        faults = packing.faults
        tries.keys -= {chunk.keys[position] for position in faults}
        self._tries = tries if faults and tries.keys else None
        if self._tries is None:
            self.told(max(tries.expected - tries.told, 0))  # what several rows name is copied once and expected of each
        return evolve(chunk, rows=packed), sorted(faults.items())

    def _hear(self, tries: _Tries, size: int) -> None:
        tries.told += size
        self.told(size)

    def _entries(self, packing: Packing) -> Iterator[Entry]:
        """Yield what must not be removed meanwhile: the objects, and the folders of those that are not whole yet."""
        for store in {move.local.name: move.local for move in packing.moves.values() if not move.stays}.values():
            folder = unfinished(store, self.stores.local_schema)
            yield Entry(store=store.name, path=folder, addressing=Addressing.SCHEMA)
        yield from packing.entries
