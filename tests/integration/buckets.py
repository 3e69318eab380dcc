"""A private S3 server for the tests, started when first needed, gone at the end."""

from __future__ import annotations

import atexit
import secrets
import shutil
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

import s3fs
from attrs import define, field

from link.infrastructure.private_postgres import free_port

SECONDS = 60
_GRPC = ("master", "volume", "filer", "s3")


@define
class Buckets:
    """One SeaweedFS process with a folder of its own; any pair of keys is good."""

    port: int = field(factory=free_port)
    folder: Path = field(factory=lambda: Path(tempfile.mkdtemp(prefix="link-s3-")))
    process: subprocess.Popen | None = field(default=None, init=False)

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.port}"

    @property
    def fs(self):
        settings = {"endpoint_url": f"http://{self.endpoint}"}
        return s3fs.S3FileSystem(key="key", secret="secret", client_kwargs=settings, use_listings_cache=False)

    def start(self):
        atexit.register(self.remove)
        program = Path(sysconfig.get_path("scripts")) / "weed"
        ports = [f"-{name}.port.grpc={free_port()}" for name in _GRPC]
        ports += [f"-{name}.port={free_port()}" for name in ("master", "volume", "filer")]
        options = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=200", "-master.volumeSizeLimitMB=1024"]
        options += ["-s3", f"-s3.port={self.port}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
        with (self.folder / "log").open("wb") as log:
            command = [str(program), "server", f"-dir={self.folder}", *options, *ports]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self._await()
        return self

    def _await(self):
        end = time.monotonic() + SECONDS
        while True:
            try:
                bucket = self.bucket()
                self.fs.pipe_file(f"{bucket}/there", b"yes")
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()[-3000:]) from None
                time.sleep(0.2)
            else:
                return

    def bucket(self):
        """Make a new bucket and return its name."""
        name = f"bucket-{secrets.token_hex(4)}"
        self.fs.mkdir(name)
        return name

    def store(self, bucket, **settings):
        """Return the settings of a store in a bucket."""
        place = {"protocol": "s3", "endpoint": self.endpoint, "bucket": bucket, "location": "", "secure": False}
        return {**place, "access_key": "key", "secret_key": "secret", **settings}

    def remove(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


_running: list[Buckets] = []


def get():
    """Return the server, started when first asked for."""
    if not _running:
        _running.append(Buckets().start())
    return _running[0]
