"""What a linked class asks of the rest of Link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datajoint as dj

    from link.infrastructure.source_table import SourceTable
    from link.use_cases.results import DeleteResult, DoctorResult, PullResult, RefreshResult, RepairResult, VerifyResult


@frozen(kw_only=True)
class Place:
    """Where a linked class's local tables are."""

    connection: dj.Connection
    """The user's own connection: joins need the very same object."""
    schema: str
    table: str
    parts: Mapping[str, str]
    """Table names by class names, the source's parts and `DeletionRequested`."""


class Operations(Protocol):
    """The operations of one link. Selections are SQL for the key columns; None selects the whole table."""

    @property
    def allow_direct_insert(self) -> bool:
        """Whether the user may insert rows of their own."""

    @property
    def local_connection(self) -> dj.Connection:
        """The user's own connection."""

    def place(self) -> Place:
        """Return where the local tables are; declare them from the source where they do not exist."""

    def source(self) -> SourceTable:
        """Return the source table on a connection for browsing."""

    def pull(self, selection: str | None) -> PullResult:
        """Pull from the source."""

    def refresh(self) -> RefreshResult:
        """Bring the requests in line."""

    def delete(self, selection: str | None, *, prompt: bool | None) -> DeleteResult:
        """Delete from the local table, asking first unless `prompt` (or safemode, for None) is False."""

    def drop(self, *, prompt: bool | None) -> bool:
        """Release all rows and drop the local tables; False where nothing is linked, or where the user said no."""

    def adopt(self, *, instead_of: str | None) -> None:
        """Make outbound serve the local table at its present place, or take the place of one that is gone."""

    def doctor(self) -> DoctorResult:
        """Look at everything, change nothing."""

    def repair(self, *, release_lost: bool, prompt: bool | None) -> RepairResult:
        """Put right what can be without losing a row, asking first unless `prompt` (or safemode, for None) is False."""

    def verify(self, selection: str | None, *, deep: bool) -> VerifyResult:
        """Compare the local rows' objects with what the rows say of them, by contents where `deep`."""
