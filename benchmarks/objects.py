"""A pull of rows with stored objects against a plain concurrent copy of the same bytes, side by side in one run.

usage: uv run python benchmarks/objects.py [small objects] [large objects] [megabytes of a large one] [rounds] [where]
The default is 2,000 of 100 kB and 4 of 128 MB in 3 rounds, in `folders` and `buckets`; what issue 5 asks for is
`10000 20 500` (22 GB of disk). Small objects are content-addressed (`<hash@>`, so read and hashed on the way), large ones
files (`<object@>`). PostgreSQL on both sides. Folders: against `cp` in two processes, and against `cp` and then `sync` of
every file and folder, which is what Link does. Buckets: two stores on one SeaweedFS whose credentials differ, so that the
bytes go through this machine, against s3fs in sixteen threads; and with the same credentials against s3fs' server-side copy.
Plain copy and Link take turns; each figure is the best of its rounds.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

warnings.simplefilter("ignore")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration"))

import buckets
import datajoint as dj
import labs
import servers
from datajoint.hash_registry import compute_hash

from link import LazySchema, Link

dj.logger.addFilter(lambda record: record.levelno >= logging.ERROR)
SMALL, LARGE, MEGABYTES, ROUNDS = (
    int(sys.argv[n]) if len(sys.argv) > n else plain for n, plain in enumerate((2_000, 4, 128, 3), 1)
)
WHERE = sys.argv[5:] or ["folders", "buckets"]
MANY = 1_000
"""Files that are not removed before the end: whoever makes files in the minute after looks for inodes among theirs (ext4)."""


def connection(lab, account):
    s = lab.server
    settings = {"use_tls": False, "backend": s.backend, "database__name": s.database_name, "safemode": False}
    return dj.Instance(s.host, account.user, account.password, s.port, **settings).connection


def timed(act):
    start = time.monotonic()
    act()
    return time.monotonic() - start


class Case:
    """One table at lab S, whose objects are written by `write`, and links to fresh local tables."""

    def __init__(self, name, count, size, marker):
        self.name, self.count, self.size, self.marker = name, count, size, marker
        self.lab_s = labs.make_lab_s(servers.get(servers.Product.POSTGRESQL, "source"))
        owner = connection(self.lab_s, self.lab_s.owner)
        owner._config.stores["raw"] = {"protocol": "file", "location": "/"}
        schema = dj.Schema(self.lab_s.source_schema, connection=owner)
        schema(type("Shot", (dj.Manual,), {"definition": f"shot : int32\n---\nvalue : {marker}"}))
        self.paths = []

    def fill(self, write):
        rows, body = [], os.urandom(self.size)
        for shot in range(self.count):
            data = shot.to_bytes(4, "big") + body[4:]
            facts = {"store": "raw", "size": len(data)}
            if "hash" in self.marker:
                name = compute_hash(data)
                facts |= {"hash": name, "schema": self.lab_s.source_schema, "path": f"_hash/{self.lab_s.source_schema}/{name}"}
            else:
                path = f"_schema/{self.lab_s.source_schema}/shot/shot={shot}/value_abcdefgh"
                facts |= {"path": path, "is_dir": False, "ext": None, "timestamp": "2026-01-01T00:00:00+00:00"}
            write(facts["path"], data)
            self.paths.append(facts["path"])
            rows.append((shot, json.dumps(facts)))
        with self.lab_s.server.raw(self.lab_s.owner) as connected, connected.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {self.lab_s.table('shot')} VALUES (%s, %s)", rows)
            connected.commit()

    def pull(self, theirs, ours):
        server, lab_l = self.lab_s.server, labs.make_lab_l(servers.get(servers.Product.POSTGRESQL, "local"))
        user = connection(lab_l, lab_l.user)
        user._config.stores["kept"] = ours
        account = self.lab_s.link
        self.lab_s.server.admin_query(f"DROP SCHEMA {self.lab_s.outbound_schema} CASCADE")
        self.lab_s.server.admin_query(f"CREATE SCHEMA {self.lab_s.outbound_schema} AUTHORIZATION {account.user}")
        source = LazySchema(
            self.lab_s.source_schema,
            host=server.host,
            port=server.port,
            user=account.user,
            password=account.password,
            backend=server.backend,
            database_name=server.database_name,
            stores={"raw": theirs},
        )
        local = LazySchema(lab_l.local_schema, connection=user)
        shot = Link(local, source, stores={"kept": "raw"}, outbound=self.lab_s.outbound_schema)(type("Shot", (), {}))
        shot.heading  # noqa: B018 - declares it
        seconds = timed(shot.pull)
        assert len(shot()) == self.count
        return seconds

    def report(self, what, plain, link):
        total = self.count * self.size / 1e6
        print(
            f"{what:42} {self.count:6} x {self.size / 1e6:6.1f} MB: plain {plain:6.2f} s ({total / plain:5.0f} MB/s),"
            f" Link {link:6.2f} s ({total / link:5.0f} MB/s), {link / plain:.2f} x",
            flush=True,
        )


def folders(case, top):
    theirs = Path(tempfile.mkdtemp(dir=top))

    def write(path, data):
        (theirs / path).parent.mkdir(parents=True, exist_ok=True)
        (theirs / path).write_bytes(data)

    case.fill(write)

    def discard(goal):
        if case.count < MANY:
            shutil.rmtree(goal)

    plain, synced, link = [], [], []
    batch = 50 if case.count >= 100 else 1
    copy = f"find . -type f -print0 | xargs -0 -n {batch} -P 2 cp --parents -t"
    sync = f"find . -print0 | xargs -0 -n {batch} -P 2 sync"
    for _ in range(ROUNDS):
        goal = Path(tempfile.mkdtemp(dir=top))
        for folder in {str(Path(path).parent) for path in case.paths}:
            (goal / folder).mkdir(parents=True)
        subprocess.run("sync", check=True)
        plain.append(timed(lambda goal=goal: subprocess.run(f"{copy} {goal}", shell=True, check=True, cwd=theirs)))
        synced.append(plain[-1] + timed(lambda goal=goal: subprocess.run(sync, shell=True, check=True, cwd=goal)))
        discard(goal)
        goal = Path(tempfile.mkdtemp(dir=top))
        specs = [{"protocol": "file", "location": str(place)} for place in (theirs, goal)]
        subprocess.run("sync", check=True)
        link.append(case.pull(*specs))
        discard(goal)
    case.report(f"{case.name}, folder to folder", min(plain), min(link))
    case.report(f"{case.name}, folder to folder, synced", min(synced), min(link))
    shutil.rmtree(theirs)


def in_buckets(case):
    server = buckets.get()
    fs, theirs = server.fs, server.bucket()
    case.fill(lambda path, data: fs.pipe_file(f"{theirs}/{path}", data))

    def through(goal):
        def one(path):
            size = 16 * 2**20
            if case.size <= size:
                fs.pipe_file(f"{goal}/{path}", fs.cat_file(f"{theirs}/{path}"))
                return
            with (
                fs.open(f"{theirs}/{path}", "rb", block_size=size) as source,
                fs.open(f"{goal}/{path}", "wb", block_size=size) as copy,
            ):
                while block := source.read(size):
                    copy.write(block)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(one, case.paths))

    def cleared(bucket):
        with suppress(FileNotFoundError):  # asked a second time, since the server takes long
            fs.rm(bucket, recursive=True)

    def by_server(goal):
        fs.copy([f"{theirs}/{path}" for path in case.paths], [f"{goal}/{path}" for path in case.paths])

    for what, copy, key in (("through this machine", through, "another"), ("by the server", by_server, "key")):
        plain, link = [], []
        for _ in range(ROUNDS):
            goal = server.bucket()
            plain.append(timed(lambda copy=copy, goal=goal: copy(goal)))
            cleared(goal)
            goal = server.bucket()
            link.append(case.pull(server.store(theirs, access_key=key), server.store(goal)))
            cleared(goal)
        case.report(f"{case.name}, bucket to bucket, {what}", min(plain), min(link))
    cleared(theirs)


top = tempfile.mkdtemp(prefix="link-benchmark-")
try:
    acts = {"folders": lambda case: folders(case, top), "buckets": in_buckets}
    for act in (acts[name] for name in WHERE):
        if SMALL:
            act(Case("small", SMALL, 100_000, "<hash@raw>"))
        if LARGE:
            act(Case("large", LARGE, MEGABYTES * 1_000_000, "<object@raw>"))
finally:
    shutil.rmtree(top, ignore_errors=True)
    servers.remove_all()
