"""What a link rests on apart from its keys: both tables, outbound, the guard, rights, clocks and lines."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from attrs import define, frozen

from link.adapters.datajoint import backups, catalog, claiming, grants, journal, linking, rights, snapshot, structure
from link.adapters.datajoint.dialect import dialect
from link.adapters.datajoint.driver import encryption
from link.adapters.datajoint.layout import HELD, JOURNAL, LAYOUT, TRANSFER, OutboundNames
from link.adapters.datajoint.line import set_up_alone
from link.adapters.datajoint.translation import Refusal, Refused
from link.domain.errors import DeclarationChanged, LocalSideBehind, NotLinkable, PrivilegeMissing, SourceTableMissing
from link.domain.findings import Finding, Trouble
from link.use_cases.inspection import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from link.adapters.datajoint.claiming import Claim
    from link.adapters.datajoint.linking import Linked
    from link.adapters.datajoint.model import EntityModel
    from link.adapters.datajoint.session import Session

LOGGER = logging.getLogger("link")
SECONDS = 60
"""By how much two clocks may differ."""


@define(kw_only=True)
class DataJointPremises:
    """Looks at everything but keys, by both servers' catalogs; makes Link's own tables, guard and foreign keys again."""

    local: Callable[[], Session]
    source: Callable[[], Session]
    class_name: str
    source_schema: str
    claim: Callable[[Linked], Claim]
    version: str

    def look(self) -> Standing:
        """Return what is wrong, and whether keys can be looked at."""
        lines = tuple(f"{side}: {_line(session)}" for side, session in (("source", self.source()), ("local", self.local())))
        clocks = self._clocks()
        ends = self._ends()
        if isinstance(ends, Finding):
            return Standing(findings=(ends, *clocks), readable=False, lines=lines)
        if books := linking.missing_tables(self.local(), ends[0]):
            finding = Finding(trouble=Trouble.LOCAL_BOOKS_MISSING, count=len(books), detail=", ".join(books))
            return Standing(findings=(finding, *clocks), readable=False, lines=lines)
        place = _Place.read(self.source(), ends[1], self.claim(ends[0]))
        taken = place.taken()
        missing = place.missing(has_rows=self._has_rows(ends[0]))
        readable = place.kind is not None and not missing and not any(f.trouble is Trouble.OUTBOUND_TAKEN for f in taken)
        rest = [*self._behind(ends[0]), *place.rest(self.version)] if readable else []
        return Standing(findings=(*taken, *missing, *rest, *clocks), readable=readable, lines=lines)

    def mend(self) -> None:
        """Make tables, guard, foreign keys and rights again where they are not as they were made."""
        ends = self._ends()
        if isinstance(ends, Finding):
            return
        linked, entity = ends
        session, mine = self.source(), self.claim(linked)
        linking.make_again(self.local(), linked)
        with claiming.waiting(session, entity), set_up_alone(session):
            claiming.make_again(session, entity, mine)
        claiming.claim(session, entity, mine)
        journal.enter_again(session, OutboundNames.of(entity.master), mine.link, self.version)
        with claiming.waiting(session, entity), set_up_alone(session):
            for fault in structure.foreign_key_faults(session, OutboundNames.of(entity.master), entity.master):
                _mend(session, entity, fault)

    def _ends(self) -> tuple[Linked, EntityModel] | Finding:
        """Return the local table as it was linked and the source's declaration now, or what is missing of the two."""
        session = self.local()
        linked = linking.read_linked(session, self.class_name)
        if linked is None:
            entered = linking.is_entered(session, self.class_name)
            return Finding(trouble=Trouble.LOCAL_TABLE_MISSING if entered else Trouble.NOT_LINKED)
        try:
            entity = catalog.steadily(lambda: catalog.read_twice(self.source(), self.source_schema, self.class_name))
        except (SourceTableMissing, NotLinkable) as error:
            return Finding(trouble=Trouble.SOURCE_TABLE_MISSING, detail=error.what())
        except DeclarationChanged as error:
            return Finding(trouble=Trouble.DECLARATION_CHANGED, detail=error.what())
        try:
            linking.local_declaration(session, linked)
        except DeclarationChanged as error:
            return Finding(trouble=Trouble.COPY_CHANGED, detail=error.what())
        changes = snapshot.differences(linked.source, entity)
        return Finding(trouble=Trouble.DECLARATION_CHANGED, detail="; ".join(changes)) if changes else (linked, entity)

    def _behind(self, linked: Linked) -> list[Finding]:
        try:
            backups.refuse_behind(self.source(), self.local(), linked)
        except LocalSideBehind as error:
            return [Finding(trouble=Trouble.LOCAL_SIDE_BEHIND, detail=error.what())]
        return []

    def _has_rows(self, linked: Linked) -> bool:
        session = self.local()
        return bool(session.query(f"SELECT 1 FROM {session.table(linked.table)} LIMIT 1"))

    def _clocks(self) -> list[Finding]:
        now = {"here": datetime.now(timezone.utc)}
        for side, session in (("source", self.source()), ("local", self.local())):
            read = session.query(f"SELECT {dialect(session).now}")[0][0]
            now[side] = read if read.tzinfo else read.replace(tzinfo=timezone.utc)
        apart = (max(now.values()) - min(now.values())).total_seconds()
        told = ", ".join(f"{side} {time:%Y-%m-%d %H:%M:%S}" for side, time in now.items())
        return [Finding(trouble=Trouble.CLOCK, detail=f"{told} UTC")] if apart > SECONDS else []


@frozen(kw_only=True)
class _Place:
    """One link's tables in the outbound schema."""

    session: Session
    entity: EntityModel
    names: OutboundNames
    mine: Claim
    entry: claiming.Entry | None
    """Whom outbound serves."""

    @classmethod
    def read(cls, session: Session, entity: EntityModel, mine: Claim) -> _Place:
        names = OutboundNames.of(entity.master)
        return cls(session=session, entity=entity, names=names, mine=mine, entry=claiming.read_entry(session, names))

    @property
    def kind(self) -> str | None:
        """The guard's kind, where outbound was ever claimed."""
        return self.entry.guard if self.entry else None

    @property
    def keys(self) -> list[str]:
        return [self.session.quote(column.name) for column in self.entity.master.key]

    def taken(self) -> list[Finding]:
        """Tell whether outbound serves somebody else, or this table somewhere else."""
        entry = self.entry
        if entry is None or (entry.link == self.mine.link and entry.place == self.mine.place):
            return []
        told = f"{self.session.schema}.{self.names.master} serves {entry.label}, at {entry.place}; this is {self.mine.place}"
        same = entry.link == self.mine.link
        return [Finding(trouble=Trouble.LOCAL_SIDE_MOVED if same else Trouble.OUTBOUND_TAKEN, detail=told)]

    def missing(self, *, has_rows: bool) -> list[Finding]:
        """Tell which tables are missing; before the first pull none has to be there."""
        gone = structure.missing_tables(self.session, self.names)
        if self.entry is None and not has_rows:
            return []
        if not gone and self.entry is None:
            gone = ["the entry of this link"]
        return [Finding(trouble=Trouble.OUTBOUND_MISSING, detail=", ".join(gone))] if gone else []

    def rest(self, version: str) -> Iterator[Finding]:
        """Look at what protects the rows."""
        session, names, kind, master = self.session, self.names, self.kind or "", self.entity.master
        told = {
            Trouble.GUARD: structure.guard_faults(session, names, kind, self.keys),
            Trouble.FOREIGN_KEY: [self._told(fault) for fault in structure.foreign_key_faults(session, names, master)],
            Trouble.GRANT_MISSING: [self._granting(role) for role in grants.left_out(session, names, master)],
            Trouble.GRANT_TOO_WIDE: rights.too_wide(session, names, master),
            Trouble.JOURNAL: self._lost_transfers(),
            Trouble.OUTBOUND_SHARED: self._shared(),
            Trouble.VERSION: self._versions(version),
        }
        for trouble, details in told.items():
            if details:
                yield Finding(trouble=trouble, count=len(details), detail="\n".join(details))
        if statement := structure.readable_refusal(session, names, kind, self.keys, self.mine.label):
            yield Finding(trouble=Trouble.READABLE_REFUSAL, detail=statement)

    def _told(self, fault: structure.KeyFault) -> str:
        statements = structure.foreign_key_statements(self.session, fault, self.entity.master)
        return "\n".join([fault.detail, *(f"{statement.replace('%%', '%')};" for statement in statements)])

    def _granting(self, role: str) -> str:
        statements = grants.statements(self.session, self.names, role)
        told = f"role {role} may delete from the source, but not from outbound"
        return "\n".join([told, *(f"{statement.replace('%%', '%')};" for statement in statements)])

    def _lost_transfers(self) -> list[str]:
        transfers, rows = journal.lost_transfers(self.session, self.names)
        return [f"{rows} rows under {transfers} transfers"] if transfers else []

    def _shared(self) -> list[str]:
        session = self.session
        speech = dialect(session)
        found = session.query(
            f"SELECT j.who, COUNT(*) FROM {session.table(self.names.master)} o JOIN {session.table(JOURNAL)} j"
            f" ON j.transfer = o.{TRANSFER} WHERE o.{HELD} IS NOT NULL AND j.link <> {speech.uuid} GROUP BY j.who",
            (speech.id(self.mine.link),),
        )
        return [f"{count} rows by {who}" for who, count in found]

    def _versions(self, version: str) -> list[str]:
        session, entry = self.session, self.entry
        speech = dialect(session)
        found = session.query(
            f"SELECT version FROM {session.table(JOURNAL)} WHERE link = {speech.uuid} ORDER BY opened DESC LIMIT 1",
            (speech.id(self.mine.link),),
        )
        told = [f"this is {version}, the last transfer was made by {other}" for (other,) in found if other != version]
        if entry is not None and entry.layout != LAYOUT:
            told.append(f"outbound's tables have layout {entry.layout}, this is made for {LAYOUT}")
        return told


def _mend(session: Session, entity: EntityModel, fault: structure.KeyFault) -> None:
    """Make a foreign key again, unless rows or rights forbid it: then it stays a finding."""
    try:
        for statement in structure.foreign_key_statements(session, fault, entity.master):
            session.query(statement)
    except PrivilegeMissing as error:
        LOGGER.info("%s", error)
    except Refused as error:
        if error.refusal is not Refusal.FOREIGN_KEY:
            raise
        LOGGER.info("%s", error)


def _line(session: Session) -> str:
    """Say what server it is, who is logged in, and whether the line is encrypted."""
    version = str(session.query("SELECT version()")[0][0])
    product = "MariaDB" if session.mariadb else "MySQL" if session.backend == "mysql" else ""
    shown = f"{product} {version.split('-', maxsplit=1)[0]}" if product else " ".join(version.split()[:2])
    return f"{shown} at {session.server} as {session.user}, {encryption(session)}"
