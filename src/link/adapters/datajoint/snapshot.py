"""The declaration as it was when the table was linked: kept as text, compared with what is there now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from link.adapters.datajoint.marks import is_char
from link.adapters.datajoint.model import Addressing, Column, Default, EntityModel, Index, Kind, TableModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FORMAT = 1


def dump(entity: EntityModel) -> str:
    """Return the entity as JSON text."""
    return json.dumps({"format": _FORMAT, "entity": attrs.asdict(entity, value_serializer=_plain)}, sort_keys=True)


def _plain(_: type, __: attrs.Attribute[Any], value: object) -> object:
    return value.value if isinstance(value, (Kind, Addressing)) else value


def load(text: str) -> EntityModel:
    """Return the entity from its JSON text; fields unknown to this version are ignored."""
    data = json.loads(text)
    if data["format"] != _FORMAT:
        message = f"a declaration of format {data['format']} was written by a newer version of Link"
        raise ValueError(message)
    entity = data["entity"]
    return EntityModel(
        backend=entity["backend"],
        master=_table(entity["master"]),
        parts=tuple(_table(part) for part in entity["parts"]),
    )


def _known(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    names = {name.name for name in attrs.fields(kind)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items() if name in names}


def _table(data: Mapping[str, Any]) -> TableModel:
    facts = _known(TableModel, data)
    facts["columns"] = tuple(_column(column) for column in data["columns"])
    facts["indexes"] = tuple(Index(**_known(Index, index)) for index in data["indexes"])
    return TableModel(**facts)


def _column(data: Mapping[str, Any]) -> Column:
    facts = _known(Column, data)
    facts["kind"] = Kind(data["kind"])
    facts["addressing"] = Addressing(data["addressing"]) if data.get("addressing") else None
    facts["default"] = data["default"] and Default(**_known(Default, data["default"]))
    return Column(**facts)


def differences(linked: EntityModel, now: EntityModel) -> list[str]:
    """Say what has changed in the source table since it was linked, as far as it bears on copying rows.

    Comments, marks that leave the values as they are, defaults, lineage and indexes do not; the collation of a key does.
    """
    old, new = ({table.name: table for table in entity.tables[1:]} for entity in (linked, now))
    found = [] if linked.backend == now.backend else [f"the source server is now {now.backend}, was {linked.backend}"]
    found += [f"part table {name} is new" for name in new if name not in old]
    found += [f"part table {name} is gone" for name in old if name not in new]
    found += _table_differences(linked.master, now.master, "")
    for name in old:
        if name in new:
            found += _table_differences(old[name], new[name], f" of part table {name}")
    return found


def key_differences(linked: EntityModel, now: EntityModel) -> list[str]:
    """Say what keeps even the rows that are local from being named at the source."""
    there = {column.name for column in now.master.columns}
    return [f"column {column.name!r} of the key is gone" for column in linked.master.key if column.name not in there]


def _table_differences(linked: TableModel, now: TableModel, where: str) -> Iterator[str]:
    old, new = ({column.name: column for column in table.columns} for table in (linked, now))
    yield from (f"column '{name}'{where} is new" for name in new if name not in old)
    yield from (f"column '{name}'{where} is gone" for name in old if name not in new)
    for name in old:
        if name in new:
            yield from (f"column '{name}'{where} {change}" for change in _column_differences(old[name], new[name]))
    if {column.name for column in linked.key} == {column.name for column in now.key} and linked.key_order != now.key_order:
        yield f"the order of the key{where} has changed"


def _column_differences(linked: Column, now: Column) -> Iterator[str]:
    if _type(linked) != _type(now):
        yield f"is now {_spelled(now)}, was {_spelled(linked)}"
    if linked.addressing != now.addressing:
        yield f"is now {now.marker or now.native}, was {linked.marker or linked.native}"
    if linked.nullable != now.nullable:
        yield "may now be NULL" if now.nullable else "may not be NULL any more"
    if linked.in_key != now.in_key:
        yield "is now part of the key" if now.in_key else "is not part of the key any more"
    if linked.in_key and (linked.charset, linked.collation) != (now.charset, now.collation):
        yield f"is now compared by {now.collation or 'the default'}, was by {linked.collation or 'the default'}"


def _type(column: Column) -> tuple[object, ...]:
    """Return what decides about the values, so that a server's new spelling (`int(11)`, `int`) is no change."""
    loose = column.native if column.kind in {Kind.BYTES, Kind.BINARY, Kind.TIME} else is_char(column)
    return column.kind, column.size, column.scale, column.unsigned, column.labels, loose


def _spelled(column: Column) -> str:
    """Return the type in the words of the server, or of DataJoint where the server's would not tell."""
    if column.kind is Kind.ENUM:
        return f"enum{column.labels}"
    return column.marker if column.kind in {Kind.BOOL, Kind.UUID, Kind.JSON} and column.marker else column.native
