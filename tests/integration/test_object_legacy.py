"""What DataJoint 0.14 keeps in stores comes along and reads locally as it did there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import legacy
import numpy as np
import pytest
from servers import Product
from stored import folder_store, names_in
from test_objects import Both, StoredLab

from link import errors
from link.infrastructure import progress

PAIRS = [(Product.MYSQL, Product.POSTGRESQL), (Product.MARIADB, Product.MYSQL)]
FILL = """
import numpy as np
from pathlib import Path
top = Path(os.environ["TOP"])
stage = top / "stage"
(stage / "mouse").mkdir(parents=True)
dj.config["stores"] = {"raw": dict(protocol="file", location=str(top / "theirs"), stage=str(stage))}
schema = dj.Schema(os.environ["SOURCE"])
@schema
class Shot(dj.Manual):
    definition = '''
    shot : int
    ---
    image = null : blob@raw
    note = null : attach@raw
    file = null : filepath@raw
    '''
    class Cell(dj.Part):
        definition = '''
        -> master
        cell : int
        ---
        trace : blob@raw
        '''
for shot in range(3):
    folder = top / f"notes{shot}"
    folder.mkdir()
    (folder / "note.txt").write_text(f"note {shot}")
    (stage / "mouse" / f"{shot}.bin").write_bytes(bytes([shot]) * 1000)
    Shot.insert1(dict(shot=shot, image=np.arange(1000) + shot, note=folder / "note.txt", file=stage / "mouse" / f"{shot}.bin"))
    Shot.Cell.insert1(dict(shot=shot, cell=1, trace={"a": shot, "b": [1, "two"]}))
Shot.insert1(dict(shot=9))
"""


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}")
def pair(request):
    return request.param


@pytest.fixture
def labs(lab_s, lab_l, connect, link, tmp_path):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    legacy.run(FILL, lab_s, lab_s.owner, TOP=str(tmp_path))
    source, local = connect(lab_s, lab_s.owner), connect(lab_l, lab_l.user)
    local._config.stores.update(kept=folder_store(ours), default="kept")
    local._config["download_path"] = str(tmp_path / "downloads")
    return Both(lab_s, lab_l, StoredLab(lab_s, source), local, theirs, ours, link)


def test_what_0_14_stored_reads_locally(labs):
    """Blobs, attachments with their names, files with their paths, of masters and parts; then nothing of lab S is needed."""
    shot = labs.linked(source_stores={"raw": folder_store(labs.theirs)})
    assert shot.pull().pulled == 4
    assert shot.pull().already_local == 4
    shutil.rmtree(labs.theirs)
    for row in (shot & "shot < 9").to_dicts():
        number = row["shot"]
        assert (row["image"] == np.arange(1000) + number).all()
        assert Path(row["note"]).read_text() == f"note {number}"
        assert (row["file"].path, row["file"].read()) == (f"mouse/{number}.bin", bytes([number]) * 1000)
        assert (shot.Cell & {"shot": number}).fetch1("trace") == {"a": number, "b": [1, "two"]}
    assert set((shot & "shot = 9").proj("image", "note", "file").fetch1().values()) == {9, None}
    assert labs.gc(dry_run=False)["deleted"] == 0
    facts = names_in(labs.lab_l, "shot", ["image", "note", "file"])
    assert all(fact["store"] == "kept" and labs.lab_s.source_schema not in str(fact) for row in facts for fact in row if fact)


def test_the_bytes_of_what_0_14_stored_are_known_before(labs, monkeypatch):
    """The bar's total is what its record of stored objects says, and what arrives but for the names of attachments."""
    shot, told = labs.linked(source_stores={"raw": folder_store(labs.theirs)}), []
    monkeypatch.setattr(progress.Bar, "expect", lambda _bar, amount: told.append(amount()))
    monkeypatch.setattr(progress.Bar, "carry", lambda _bar, size: told.append(size))
    records = f"SELECT SUM(size) FROM {labs.lab_s.table('~external_raw')}"
    recorded = int(labs.lab_s.server.admin_query(records)[0][0])
    assert shot.pull().pulled == 4
    assert (told[0], sum(told[1:])) == (recorded, recorded + 3 * len("note.txt\0"))
    told.clear()
    assert shot.pull().already_local == 4
    assert told == [0]


def test_what_0_14_stored_wrongly_is_noticed(labs):
    """A changed blob, a changed file and a hash that the record of stored objects lacks are named, and nothing is registered."""
    shot = labs.linked(source_stores={"raw": folder_store(labs.theirs)})
    file = labs.theirs / "mouse" / "1.bin"
    file.write_bytes(b"x" * 1000)
    (fault,) = shot.pull("shot = 1").objects_missing
    assert re.search("mouse/1.bin.*MD5", str(fault))
    file.write_bytes(bytes([1]) * 1000)
    blobs = {path: path.read_bytes() for path in labs.theirs.rglob("*") if path.is_file() and not path.suffix}
    for path, content in blobs.items():
        path.write_bytes(content[:-1] + b"x")
    done = shot.pull("shot in (0, 2)")  # another one's blobs are there by now
    assert (done.pulled, {"MD5" in str(fault) for fault in done.objects_missing}) == (0, {True})
    for path, content in blobs.items():
        path.write_bytes(content)
    with labs.lab_s.server.raw(labs.lab_s.owner) as connection, connection.cursor() as cursor:
        cursor.execute("SET foreign_key_checks = 0")
        cursor.execute(f"DELETE FROM {labs.lab_s.table('~external_raw')} WHERE attachment_name IS NOT NULL")
        connection.commit()
    done = shot.pull("shot in (0, 2)")
    assert (done.pulled, {fault.column for fault in done.objects_missing}) == (0, {"note"})
    assert "a record of its object" in str(done.objects_missing[0])
    assert (len(shot()), labs.lab_s.count("shot_outbound", labs.lab_s.outbound_schema)) == (0, 0)


def test_attachments_of_0_14_have_to_be_copied(labs):
    """By reference DataJoint 2 would take the beginning of the file for its name."""
    with pytest.raises(errors.ColumnNotSupported, match="attachments have to be copied"):
        labs.linked(objects="reference", source_stores={"raw": folder_store(labs.theirs)}).pull()
