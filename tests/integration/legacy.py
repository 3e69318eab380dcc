"""A real DataJoint 0.14.10 in an environment of its own, as many labs still run it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from servers import CACHE

FOLDER = CACHE / "datajoint-0.14.10"
PACKAGES = ["datajoint==0.14.10", "setuptools<81", "cryptography"]
HEAD = """
import os, warnings
warnings.simplefilter("ignore")
import datajoint as dj
dj.config["database.host"] = os.environ["LAB_HOST"]
dj.config["database.port"] = int(os.environ["LAB_PORT"])
dj.config["database.user"] = os.environ["LAB_USER"]
dj.config["database.password"] = os.environ["LAB_PASSWORD"]
dj.config["safemode"] = False
dj.config["loglevel"] = "WARNING"
dj.conn(use_tls=False) if os.environ["LAB_TLS"] == "no" else dj.conn()
"""


def python():
    """Return the environment's interpreter, made on first use; skip, or fail in CI, where it cannot be made."""
    interpreter = FOLDER / "bin" / "python"
    if not interpreter.exists():
        uv = shutil.which("uv")
        steps = [["venv", "-q", str(FOLDER)], ["pip", "install", "-q", "--python", str(interpreter), *PACKAGES]]
        environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        done = [subprocess.run([uv, *step], env=environment, capture_output=True, check=False) for step in steps] if uv else []
        if not done or any(step.returncode for step in done):
            shutil.rmtree(FOLDER, ignore_errors=True)
            reason = "DataJoint 0.14.10 cannot be installed here"
            pytest.fail(reason) if "CI" in os.environ else pytest.skip(reason)
    return interpreter


def run(script, lab, account):
    """Run a script under DataJoint 0.14.10, connected as `account`; return what it printed, or raise with its error."""
    server = lab.server
    environment = {
        **os.environ,
        "LAB_HOST": server.host,
        "LAB_PORT": str(server.port),
        "LAB_USER": account.user,
        "LAB_PASSWORD": account.password,
        "LAB_TLS": "no" if server.product.value == "mariadb" else "yes",
        "SOURCE": lab.source_schema,
        "OUTBOUND": lab.outbound_schema,
    }
    done = subprocess.run(
        [str(python()), "-c", HEAD + script],
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
