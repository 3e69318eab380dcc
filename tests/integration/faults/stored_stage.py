"""The labs with tables whose values are in stores, which are folders here."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import datajoint as dj
from linked import KEYS, PIECES, item_class
from stage import LOCAL, Stage
from stored import StoredLab, collect, folder_store, names_in
from watch import Violation

from link.adapters.datajoint import flight

FLIGHTS = "link_objects_in_flight"


class StoredStage(Stage):
    """Every master names a content and every part a file; what is looked at are the objects of all rows too."""

    local_tables = (*LOCAL, FLIGHTS)

    def __init__(self, pair):
        self.folder = Path(tempfile.mkdtemp(prefix="link-objects-"))
        self.theirs, self.ours = self.folder / "theirs", self.folder / "ours"
        self.stores = {"raw": folder_store(self.theirs), "default": "raw"}
        super().__init__(pair)

    def _connection(self, lab, account):
        connection = super()._connection(lab, account)
        connection._config.stores.update(**self.stores, kept=folder_store(self.ours))
        return connection

    def _declare_source(self):
        connection = self._connection(self.lab_s, self.lab_s.owner)
        source = StoredLab(self.lab_s, connection)
        Item = item_class("picture : <hash@raw>", "film : <object@raw>")
        dj.Schema(self.lab_s.source_schema, connection=connection)(Item, context={})
        self.contents = {}
        for key in KEYS:
            self.contents[key, None] = b"picture %d" % key
            source.insert(Item, {"item": key}, number=0, picture=self.contents[key, None])
            for piece in range(PIECES):
                self.contents[key, piece] = b"film %d of %d" % (piece, key)
                film = self.folder / "film.bin"
                film.write_bytes(self.contents[key, piece])
                source.insert(Item.Piece, {"item": key, "piece": piece}, number=0, film=str(film))
        self.originals = {path: path.read_bytes() for path in self.theirs.rglob("*") if path.is_file()}

    def _options(self):
        return {"stores": {"kept": "raw"}}

    def _source_options(self):
        return {"stores": self.stores}

    # ---- states

    def _clear(self):
        super()._clear()
        shutil.rmtree(self.ours)
        self.ours.mkdir()

    def _save(self, operation):
        shutil.copytree(self.ours, self.folder / operation)
        return super()._save(operation)

    def restore(self, operation):
        super().restore(operation)
        shutil.rmtree(self.ours)
        shutil.copytree(self.folder / operation, self.ours)

    # ---- what there is

    def named(self):
        """Return the path of the object of each local row, by its key."""
        pictures = names_in(self.lab_l, "item", ["item", "picture"])
        films = names_in(self.lab_l, "item__piece", ["item", "piece", "film"])
        paths = {(item, None): facts["path"] for item, facts in pictures}
        return paths | {(item, piece): facts["path"] for item, piece, facts in films}

    def look(self):
        """Look at the objects too: all that a row names is there, and is what it was at the source."""
        if self.down:
            return None
        paths = self.named()
        seen = super().look()
        for key, path in paths.items():
            file = self.ours / path
            if not file.is_file() or file.read_bytes() != self.contents[key]:
                raise Violation(f"{key} names {path}, which is {'not what it was' if file.exists() else 'missing'}")
        for path, content in self.originals.items():
            if not path.is_file() or path.read_bytes() != content:
                raise Violation(f"the source's {path.relative_to(self.theirs)} is gone or changed")
        return seen

    def collect(self):
        """Let DataJoint's garbage collections do their work on both sides."""
        collect(self.lab_l.local_schema, self.connections[-1], "kept", dry_run=False)
        collect(self.lab_s.source_schema, self.connections[0], "raw", dry_run=False)

    def complete(self, operation, *, exactly=True):
        """See too that a while later the collections leave what is named and nothing else."""
        super().complete(operation, exactly=exactly)
        postgresql = self.lab_l.server.backend == "postgresql"
        long_ago = f"INTERVAL '{flight.GRACE + 10} second'" if postgresql else f"INTERVAL {flight.GRACE + 10} SECOND"
        self.watch_l.query(f"UPDATE {self.local('~link_decisions')} SET decided = decided - {long_ago}")
        self.item.pull("item > 99")
        self.collect()
        self.look()
        there = {path.relative_to(self.ours).as_posix() for path in self.ours.rglob("*") if path.is_file()}
        if there != {*self.named().values()}:
            raise Violation(f"left for ever: {there - {*self.named().values()}}")

    def close(self):
        super().close()
        shutil.rmtree(self.folder)
