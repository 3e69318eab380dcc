"""A lab's pipeline of eight tables as DataJoint 0.12 to 0.14 declare and fill it, and the same look at it from any version.

Texts, because they run in the older clients' own interpreters; `LOOK` runs under DataJoint 2 as well.
"""

from __future__ import annotations

DECLARE = '''
import datetime, decimal, uuid
import numpy as np
schema = dj.Schema(os.environ["SOURCE"])

class Settings(dj.AttributeAdapter):
    attribute_type = "longblob"
    def put(self, pairs): return {"pairs": sorted(pairs.items())}
    def get(self, stored): return dict(stored["pairs"])

class Grade(dj.AttributeAdapter):
    attribute_type = "varchar(12)"
    def put(self, number): return None if number is None else "*" * number
    def get(self, stored): return None if stored is None else len(stored)

rig_settings, stars = Settings(), Grade()

@schema
class Protocol(dj.Lookup):
    definition = """
    # how sessions are run: it's 100 percent manual
    protocol : varchar(24)
    ---
    description="" : varchar(120)   # 'free' text; a: b
    """
    contents = [("open field", "no walls"), ("T-maze", "it's \\\\ a \\"maze\\""), ("", "")]

@schema
class Rig(dj.Lookup):
    definition = """
    rig : tinyint unsigned
    ---
    settings : <rig_settings>  # as the rig knows them
    graded=null : <stars>
    is_on=1 : bool
    """
    contents = [(1, {"gain": 2, "mode": "a"}, 3, 1), (255, {}, None, 0)]

@schema
class Subject(dj.Manual):
    definition = """
    subject : varchar(16)
    ---
    subject_uuid : uuid             # the animal's passport
    sex="U" : enum("M", "F", "U")
    birth=null : date
    weight=21.50 : decimal(5,2)
    tail=null : float               # in cm
    code="" : char(4)
    unique index (subject_uuid)
    """

@schema
class Session(dj.Manual):
    definition = """
    # one a day
    -> Subject
    session : smallint unsigned
    ---
    -> [nullable] Protocol
    -> Rig
    started="2020-01-01 00:00:00" : datetime
    notes=null : attach             # what was written down
    entered=CURRENT_TIMESTAMP : timestamp
    lasted=null : time
    year_of_grant=2020 : year
    index (started)
    """

    class Trial(dj.Part):
        definition = """
        -> master
        trial : int
        ---
        outcome : enum("hit", "miss")
        reaction : double
        stimulus=null : longblob
        """
'''
WRITE = """
folder = __import__("tempfile").mkdtemp()
def attachment(name, contents):
    path = os.path.join(folder, name)
    open(path, "wb").write(contents)
    return path

Subject.insert([
    dict(subject=f"m{n}", subject_uuid=uuid.UUID(int=n * 10**30 + 1), sex="MFU"[n], birth=None if n else "2019-12-31",
         weight="1.25", tail=[None, 7.3, 1e-30][n], code=["", "ab", "abcd"][n]) for n in range(3)])
keys = [dict(subject=f"m{n}", session=s) for n in range(3) for s in (1, 2, 65535)]
Session.insert([
    dict(key, protocol=[None, "T-maze", ""][n % 3], rig=[1, 255][n % 2], started=f"2021-03-0{n + 1} 10:00:00",
         notes=attachment(f"n\\u00f6tes {n}.txt", bytes(range(256)) * n) if n % 2 else None,
         entered=f"2022-07-0{n + 1} 23:59:59", lasted=[None, "01:02:03", "00:00:00"][n % 3])
    for n, key in enumerate(keys)])
Session.Trial.insert([
    dict(key, trial=t, outcome=["hit", "miss"][t % 2], reaction=t / 3, stimulus=None if t == 0 else np.arange(t) / 7)
    for key in keys for t in range(3)])
"""
COMPUTE = (
    DECLARE
    + '''
KINDS = [
    np.arange(12, dtype="int16").reshape(3, 4), np.zeros((2, 3), order="F") + 0.1, np.array([True, False]), np.zeros((0, 5)),
    np.float32(1.5), np.array("scalar"), np.array(["a", "\\u00e9\\u00e9"]), np.array([{"o": 1}, None], dtype=object),
    np.array([(1, 2.5), (3, np.nan)], dtype=[("a", "i4"), ("b", "f8")]), np.arange(3) + 1j, np.zeros(5000, dtype="uint8"),
    np.array(["2020-01-01T00:00:00"], dtype="datetime64[s]"), {"a": [1, (2.5, None)], 3: {"x"}}, "text \\u00e9 \\0 \\\\",
    b"\\0\\xff" * 3, 2**90, -1, 0.1, 1j, True, [None], [], uuid.UUID(int=7), decimal.Decimal("1.10"),
    datetime.datetime(2020, 1, 2, 3, 4, 5, 678), datetime.date(2020, 1, 2), datetime.time(1, 2, 3), [[], [[]]],
]
if dj.__version__ < "0.13":  # which packs no arrays of dates
    KINDS = [kind for kind in KINDS if getattr(kind, "dtype", np.dtype(int)).char != "M"]

@schema
class Recording(dj.Imported):
    definition = """
    -> Session
    ---
    samples : int unsigned
    kinds : longblob
    """

    class Channel(dj.Part):
        definition = """
        -> master
        channel : tinyint unsigned
        ---
        gain=1.5 : double
        waveform : mediumblob
        """

    def make(self, key):
        number = key["session"] % 100
        self.insert1(dict(key, samples=2**32 - 1 - number, kinds=KINDS[number % 3::3]))
        self.Channel.insert([dict(key, channel=n, gain=n / 3, waveform=KINDS[(7 * number + n) % len(KINDS)]) for n in range(10)])

@schema
class SortMethod(dj.Lookup):
    definition = """
    sort_method : varchar(16)
    ---
    parameters : longblob
    """
    contents = [("threshold", {"k": 4.5}), ("manual", [])]

@schema
class Sorting(dj.Computed):
    definition = """
    -> Recording
    -> SortMethod
    ---
    quality=null : decimal(4,3)
    """

    class Unit(dj.Part):
        definition = """
        -> master
        unit : mediumint
        ---
        unit_uuid : uuid
        spikes : longblob
        """

    def make(self, key):
        self.insert1(dict(key, quality=None if key["sort_method"] == "manual" else "0.125"))
        self.Unit.insert([
            dict(key, unit=n, unit_uuid=uuid.uuid5(uuid.NAMESPACE_DNS, repr((sorted(key.items()), n))), spikes=np.arange(n) * 0.1)
            for n in (-8388608, 0, 1, 3) if n >= 0 or key["session"] == 1])

@schema
class Comparison(dj.Manual):
    definition = """
    # two sessions of one subject
    -> Session
    -> Session.proj(other_session="session")
    ---
    similarity=null : double
    -> [nullable, unique] Rig.proj(checked_on="rig")
    """
'''
)
WRITE_COMPUTED = """
Recording.populate()
Sorting.populate()
Comparison.insert([
    dict(subject="m0", session=1, other_session=2, similarity=0.1, checked_on=None),
    dict(subject="m0", session=2, other_session=65535, similarity=None, checked_on=255)])
"""
MASTERS = ("Protocol", "Rig", "Subject", "Session", "Recording", "SortMethod", "Sorting", "Comparison")
PARTS = ("Session.Trial", "Recording.Channel", "Sorting.Unit")
LOOK = r"""
import datetime, decimal, json, os, uuid
import numpy as np

def plain(value):
    if isinstance(value, np.ndarray) and value.dtype.fields:
        return ["records", [[name, plain(np.asarray(value[name]))] for name in value.dtype.names]]
    if isinstance(value, np.ndarray):
        return ["array", str(value.dtype), list(value.shape), [plain(item) for item in value.ravel().tolist()]]
    if isinstance(value, np.generic):
        return ["scalar", str(value.dtype), plain(value.item())]
    if isinstance(value, dict):
        return ["dict", sorted([plain(key), plain(item)] for key, item in value.items())]
    if isinstance(value, (list, tuple, set)):
        items = [plain(item) for item in value]
        return [type(value).__name__, sorted(items) if isinstance(value, set) else items]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    return [type(value).__name__, repr(value)]

def contents(path):
    return None if path is None else [os.path.basename(path), open(path, "rb").read().hex()]

def look(table, files=(), without=(), wanted=None):
    # every row in one order, an attached file as its name and contents, as text
    names = wanted or [name for name in table.heading.names if name not in without]
    rows = table.proj(*(name for name in names if name not in table.primary_key))
    rows = rows.to_dicts() if hasattr(rows, "to_dicts") else rows.fetch(as_dict=True)
    found = [[contents(row[name]) if name in files else plain(number(row[name])) for name in names] for row in rows]
    return [names] + sorted(found, key=repr)

def number(value):
    # a column's own numbers, which some versions return as numpy's; PostgreSQL's timestamps tell their zone, here UTC
    value = value.item() if isinstance(value, np.generic) else value
    return value.replace(tzinfo=None) if getattr(value, "tzinfo", None) is datetime.timezone.utc else value
"""
FILES = {"Session": ("notes",)}
QUERIES = {
    "join": ("Session * Subject & dict(sex='M')", "subject session started birth"),
    "renamed": (
        "Comparison * Session.proj(other_session='session', other_started='started')",
        "subject session other_session similarity other_started",
    ),
    "nullable": ("Session.proj('protocol') * Protocol", "subject session protocol description"),
    "aggregation": ("Subject.aggr(Session.proj(), n='count(*)', most='max(session)')", "subject n most"),
    "restriction": (
        "Recording.Channel & (Session & dict(rig=1)) & (Session.proj('protocol') * Protocol - dict(protocol=''))",
        "subject session channel waveform",
    ),
    "parts": ("Sorting.Unit * Session.proj('started') & 'unit > 0'", "subject session sort_method unit spikes started"),
    "difference": ("Session - Comparison - Comparison.proj(session='other_session', first='session')", "subject session"),
}
"""Expressions that every version understands, over the tables' names, and the attributes that are looked at."""
SHOW = (
    COMPUTE
    + LOOK
    + f"""
import tempfile
os.chdir(tempfile.mkdtemp())
files = {FILES!r}
found = dict()
for name in {MASTERS + PARTS!r}:
    master, _, part = name.partition(".")
    table = globals()[master]
    found[name] = look((getattr(table, part) if part else table)(), files.get(name, ()))
for name, (expression, wanted) in {QUERIES!r}.items():
    found[name] = look(eval(expression), wanted=wanted.split())
print(json.dumps(found))
"""
)
