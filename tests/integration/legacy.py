"""Real DataJoint clients of older versions, each in an environment of its own, as many labs still run them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from servers import CACHE

VERSIONS = {"0.14": "0.14.10", "0.13": "0.13.8", "0.12": "0.12.9"}
PACKAGES = ["numpy<2", "setuptools<81", "cryptography"]
SHIM = """
import collections.abc, numpy
vars(collections).update((name, getattr(collections.abc, name)) for name in collections.abc.__all__)
vars(numpy).update(bool=bool, float=float, object=object)
"""
"""The names that Python 3.10 and numpy 1.24 took away: with them 0.12, made for Python 3.9 at most, runs on any of today's."""
HEAD = """
import os, warnings
warnings.simplefilter("ignore")
os.environ["DJ_SUPPORT_ADAPTED_TYPES"] = os.environ["DJ_SUPPORT_FILEPATH_MANAGEMENT"] = "TRUE"
import datajoint as dj
dj.config["database.host"] = os.environ["LAB_HOST"]
dj.config["database.port"] = int(os.environ["LAB_PORT"])
dj.config["database.user"] = os.environ["LAB_USER"]
dj.config["database.password"] = os.environ["LAB_PASSWORD"]
dj.config["safemode"] = False
dj.config["loglevel"] = "WARNING"
dj.config["enable_python_native_blobs"] = True
dj.conn(use_tls=False) if os.environ["LAB_TLS"] == "no" else dj.conn()
"""


def python(version="0.14"):
    """Return the environment's interpreter, made on first use; skip, or fail in CI, where it cannot be made."""
    exact = VERSIONS[version]
    folder = CACHE / f"datajoint-{exact}"
    interpreter = folder / "bin" / "python"
    with _alone():
        if not interpreter.exists():
            _make(exact, folder, interpreter)
    return interpreter


@contextmanager
def _alone():
    """Keep the other process of the tests waiting, which may want the same environment."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(exact, folder, interpreter):
    if folder.exists():
        shutil.rmtree(folder)
    uv = shutil.which("uv")
    packages = [f"datajoint=={exact}", *PACKAGES]
    install = ["pip", "install", "-q", "--compile-bytecode", "--python", str(interpreter)]  # else each import takes 8 s
    steps = [["venv", "-q", str(folder)], [*install, *packages]]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = [subprocess.run([uv, *step], env=environment, capture_output=True, check=False) for step in steps] if uv else []
    if not done or any(step.returncode for step in done):
        shutil.rmtree(folder, ignore_errors=True)
        reason = f"DataJoint {exact} cannot be installed here"
        pytest.fail(reason) if "CI" in os.environ else pytest.skip(reason)


def _schemas(lab):
    if hasattr(lab, "local_schema"):
        return {"LOCAL": lab.local_schema}
    return {"SOURCE": lab.source_schema, "OUTBOUND": lab.outbound_schema}


def run(script, lab, account, version="0.14", **more):
    """Run a script under an older DataJoint, connected as `account`; return what it printed, or raise with its error.

    `more` are environment variables of the script's.
    """
    server = lab.server
    environment = {
        **os.environ,
        "LAB_HOST": server.host,
        "LAB_PORT": str(server.port),
        "LAB_USER": account.user,
        "LAB_PASSWORD": account.password,
        "LAB_TLS": "no" if server.product.value == "mariadb" else "yes",
        **_schemas(lab),
        **more,
    }
    done = subprocess.run(
        [str(python(version)), "-c", (SHIM if version == "0.12" else "") + HEAD + script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout
