"""A declaration as text, kept with the local table, and what has changed since."""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Any

from attrs import asdict

from link.adapters.datajoint.model import Column, Default, EntityModel, Index, Kind, TableModel

if TYPE_CHECKING:
    from collections.abc import Iterator


def dump(entity: EntityModel) -> str:
    """Return `entity` as JSON text."""
    return json.dumps(asdict(entity, value_serializer=lambda _, __, value: value.value if isinstance(value, Enum) else value))


def load(text: str) -> EntityModel:
    """Return the entity that `dump` wrote."""
    facts = json.loads(text)
    return EntityModel(
        backend=facts["backend"], master=_table(facts["master"]), parts=tuple(_table(part) for part in facts["parts"])
    )


def _table(facts: dict[str, Any]) -> TableModel:
    columns = tuple(_column(column) for column in facts.pop("columns"))
    indexes = tuple(Index(columns=tuple(i["columns"]), unique=i["unique"]) for i in facts.pop("indexes"))
    return TableModel(columns=columns, indexes=indexes, **facts)


def _column(facts: dict[str, Any]) -> Column:
    default = facts.pop("default")
    labels = tuple(facts.pop("labels"))
    kind = Kind(facts.pop("kind"))
    return Column(kind=kind, labels=labels, default=Default(**default) if default else None, **facts)


def differences(linked: EntityModel, now: EntityModel) -> list[str]:
    """Say what has changed of what the copy depends on: tables, columns, types, keys. Comments and indexes are free."""
    before = {table.name: table for table in linked.tables}
    after = {table.name: table for table in now.tables}
    found = [f"part table {name} is gone" for name in before if name not in after]
    found += [f"part table {name} is new" for name in after if name not in before]
    for name in before.keys() & after.keys():
        found += _changes(before[name], after[name])
    return found


def _changes(before: TableModel, after: TableModel) -> Iterator[str]:
    old = {column.name: column for column in before.columns}
    new = {column.name: column for column in after.columns}
    for name in old.keys() - new.keys():
        yield f"column {name!r} of {before.name} is gone"
    for name in new.keys() - old.keys():
        yield f"column {name!r} of {before.name} is new"
    for name, column in old.items():
        if name in new and _essence(column) != _essence(new[name]):
            yield f"column {name!r} of {before.name} is now {_say(new[name])}, was {_say(column)}"


def _essence(column: Column) -> tuple[object, ...]:
    return column.native, column.marker, column.nullable, column.in_key, column.labels, column.collation


def _say(column: Column) -> str:
    key = " in the key" if column.in_key else ""
    return f"{column.marker or column.native}{' nullable' if column.nullable else ''}{key}"
