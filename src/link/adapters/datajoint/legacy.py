"""What DataJoint 0.12 to 0.14 means by the columns it declares, said in DataJoint 2's marks.

An older DataJoint marks a type in the comment only where the native one does not tell: `:uuid:`, `:attach:`, `:blob@store:`,
`:<adapter>:`. A blob is not marked: 0.14 unpacks it, and DataJoint 2 would return its bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import evolve

from link.adapters.datajoint import codecs
from link.adapters.datajoint.found import Mark, marked
from link.domain.errors import ColumnNotSupported

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from link.adapters.datajoint.found import FoundColumn

_BLOBS = {"tinyblob", "blob", "mediumblob", "longblob"}
_MARKS_OF_2 = re.compile(
    r"(u?int(8|16|32|64)|float(32|64)|bool|json|bytes|date|datetime|char|varchar|enum|decimal)\b", re.IGNORECASE
)
_LOG, _LINEAGE = "~log", "~lineage"
"""Tables that DataJoint up to 0.14, and from 2 on, makes in every schema in which it declares something."""


def in_marks_of_2(
    schema: str, columns: Mapping[str, Sequence[FoundColumn]], tables: Collection[str]
) -> Mapping[str, Sequence[FoundColumn]]:
    """Return an entity's columns as a user of the DataJoint that declared them reads them; `tables` are all in the schema.

    Where it is not certain that DataJoint 2 declared them, a blob without a mark is one that DataJoint has packed: bytes
    that are none are refused when they are pulled, whereas a packed blob taken for bytes would be read wrongly in silence.

    Raises:
        ColumnNotSupported: an adapter has the name of a codec of DataJoint 2.
    """
    if _declared_by_2(columns, tables):
        return columns
    is_old = _LOG in tables and _LINEAGE not in tables
    return {table: [_told(f"{schema}.{table}", column, is_old=is_old) for column in found] for table, found in columns.items()}


def _declared_by_2(columns: Mapping[str, Sequence[FoundColumn]], tables: Collection[str]) -> bool:
    if _LINEAGE in tables and _LOG not in tables:
        return True
    return any(_MARKS_OF_2.match(Mark.split(column.comment).type) for found in columns.values() for column in found)


def _told(table: str, column: FoundColumn, *, is_old: bool) -> FoundColumn:
    mark = Mark.split(column.comment)
    if is_old and (name := mark.type.strip("<>")) in codecs.BUILT_IN and mark.type == f"<{name}>":
        objection = codecs.clash(name)
        raise ColumnNotSupported(
            table=table, column=column.name, type=mark.type, reason=objection.reason, instead=objection.advice
        )
    told = {"attach": "<attach>", "": "<blob>" if column.base in _BLOBS else ""}.get(mark.type)
    return evolve(column, comment=marked(told, mark.comment)) if told else column
