"""The source table as lab L sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datajoint.table import FreeTable

from link.domain.errors import InTransaction
from link.infrastructure import ways
from link.infrastructure.careful import Careful, refuse_all, selection_of

if TYPE_CHECKING:
    from link.infrastructure.operations import Operations
    from link.use_cases.results import PullResult


class SourceTable(Careful, FreeTable):
    """The source table, read with the link user's rights: restrict it, fetch from it, pull from it."""

    def __init__(self, connection: Any, full_name: str, operations: Operations) -> None:
        super().__init__(connection, full_name)
        self._operations = operations

    def _called(self) -> str:
        return f"source table {self.full_table_name}"

    def __call__(self) -> SourceTable:
        """Return the table itself: `Session().source()` and `Session().source` are the same."""
        return self

    def pull(self, *restrictions: Any) -> PullResult:
        """Pull the selected entities that satisfy all `restrictions` too."""
        if self._operations.local_connection.in_transaction:
            raise InTransaction(operation="pull")
        chosen = self
        for restriction in restrictions:
            chosen = chosen & restriction
        return self._operations.pull(selection_of(chosen))


refuse_all(SourceTable, ways.REFUSED_ON_SOURCE)
