"""Tables that cannot be linked, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.domain.errors import NotLinkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from link.adapters.datajoint.found import ForeignKey, FoundTable
    from link.adapters.datajoint.model import EntityModel, TableModel

NAME_LIMIT = {"mysql": 64, "postgresql": 63}
REQUESTED = "__deletion_requested"
REQUESTED_COMMENT = "rows whose deletion the source's lab asks for, as of the last refresh()"
"""By it the part is known as Link's own where a linked table is itself the source of another link."""
_LONGEST = "_outbound" + REQUESTED


def refuse_table(schema: str, table: FoundTable) -> None:
    """Raise for a view, or an engine without foreign keys."""
    if table.refusal:
        raise NotLinkable(table=f"{schema}.{table.name}", reason=table.refusal)


def refuse_names(schema: str, names: Iterable[str]) -> None:
    """Raise for a name that DataJoint's adapters would quote wrongly."""
    for name in (schema, *names):
        if any(mark in name for mark in "`\"'%"):
            raise NotLinkable(table=f"{schema}", reason=f"the name {name!r} has a quote or a percent sign in it")


def refuse_entity(entity: EntityModel, foreign_keys: Sequence[ForeignKey]) -> None:
    """Raise for a name too long for outbound's parts, and for parts that do not hang on their master by its own key."""
    master = entity.master
    room = NAME_LIMIT[entity.backend] - len(_LONGEST)
    if len(master.name.lstrip("#_").encode()) > room:
        reason = f"its name is longer than {room} characters, which leaves no room for {_LONGEST}"
        raise NotLinkable(table=f"{master.schema}.{master.name}", reason=reason)
    for part in entity.parts:
        if reason := _part_reason(part, master, foreign_keys):
            raise NotLinkable(table=f"{master.schema}.{master.name}", reason=f"its part {part.name} {reason}")


def _part_reason(part: TableModel, master: TableModel, foreign_keys: Sequence[ForeignKey]) -> str:
    if part.name == master.name + REQUESTED:
        return "has the name of Link's own part DeletionRequested"
    key = {column.name for column in master.key}
    if not _hangs(part.name, master.name, key, foreign_keys):
        return "refers to its master by other names than those of the master's key"
    if any(column.nullable for column in part.columns if column.name in key):
        return "may have rows without a master"
    return ""


def _hangs(part: str, master: str, key: set[str], foreign_keys: Sequence[ForeignKey]) -> bool:
    """Whether the master's key reaches a part under its own names, straight or through other parts of the master."""
    for found in foreign_keys:
        kept = {column for column, theirs in zip(found.columns, found.parent_columns, strict=True) if column == theirs}
        if found.table == part and found.parent_table != part and key <= kept:
            parent = found.parent_table
            if parent == master or (parent.startswith(f"{master}__") and _hangs(parent, master, key, foreign_keys)):
                return True
    return False
