from __future__ import annotations

import sys

import pytest

from link.domain.errors import NoSuchLink
from link.infrastructure.naming import linked_class


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Put a module of the user's into the working directory."""
    (tmp_path / "my_links.py").write_text("""
from link import LazySchema, Link
@Link(LazySchema("local"), LazySchema("source", host="nowhere"))
class Session:
    pass
class Outer:
    Inner = Session
class Plain:
    pass
""")
    (tmp_path / "broken.py").write_text("import a_module_that_is_not_there")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    yield
    sys.modules.pop("my_links", None)


@pytest.mark.parametrize("name", ["my_links:Session", "my_links:Outer.Inner"])
def test_a_linked_class_is_found_by_module_and_name(module, name):
    """The module is imported from the working directory, and nothing connects."""
    assert linked_class(name).__name__ == "Session"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("my_links", "not of the form MODULE:CLASS"),
        ("my_links:", "not of the form MODULE:CLASS"),
        ("nowhere:Session", "no module 'nowhere'"),
        ("my_links.deeper:Session", "no module"),
        ("my_links:Sessions", "has no attribute 'Sessions'"),
        ("my_links:Plain", "not a class made by Link"),
    ],
)
def test_what_names_no_linked_class_is_said(module, name, reason):
    """Each way to get the name wrong has its own words, and the error shows the form."""
    with pytest.raises(NoSuchLink, match=reason) as raised:
        linked_class(name)
    assert "my_pipeline.links:Session" in str(raised.value)


def test_the_users_own_error_goes_through(module):
    """A module that fails to import something else is not taken for a missing one."""
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        linked_class("broken:Session")
