"""The house: what is public, what is documented, what is shipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

import dj_link
import link
from link.domain.findings import Trouble

ROOT = Path(__file__).parents[2]


def test_the_public_names_are_these():
    """Adding or losing a public name is a decision, not an accident."""
    results = ["DeleteResult", "DoctorResult", "PullResult", "RefreshResult", "RepairResult", "VerifyResult"]
    assert link.__all__ == [*sorted([*results, "LazySchema", "Link"]), "errors"]
    assert all(getattr(link, name) is not None for name in link.__all__)


def test_the_predecessors_import_path_works():
    """Code written against datajoint-link 0.11's README finds the same names."""
    assert (dj_link.LazySchema, dj_link.Link) == (link.LazySchema, link.Link)


def test_importing_link_imports_no_datajoint():
    """Importing costs no connection and no file: DataJoint, which reads its configuration, is not imported."""
    code = "import sys, link; sys.exit('datajoint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_readme_shows_the_two_commands():
    """The commands that do all the set-up are in the README."""
    readme = (ROOT / "README.md").read_text()
    assert "pip install uv && uv run --extra demo python -m link demo" in readme
    assert "pip install uv && uv run pytest" in readme


def test_every_finding_is_documented():
    """docs/doctor.md has a line for each finding, in the words of the report."""
    text = (ROOT / "docs" / "doctor.md").read_text()
    assert [trouble.name for trouble in Trouble if f"| {trouble.value} |" not in text] == []


def test_the_compose_file_has_servers_demo_and_tests():
    """`docker-compose run test tests` runs pytest on the folder, beside two database servers and the demo."""
    services = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
    assert services.keys() == {"source", "local", "demo", "test"}
    assert services["test"]["entrypoint"] == ["uv", "run", "pytest"]
    assert services["demo"]["command"][-3:] == ["-m", "link", "demo"]
