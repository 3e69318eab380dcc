from __future__ import annotations

import inspect

import datajoint as dj
import pytest
from datajoint.errors import ThreadSafetyError

from link import LazySchema
from link.domain.errors import ServerUnreachable, SettingMissing


def test_it_takes_what_a_schema_takes():
    """Every argument of dj.Schema is one of LazySchema, in its place and with its default."""
    theirs = inspect.signature(dj.Schema.__init__ if inspect.isclass(dj.Schema) else dj.Schema).parameters
    own = inspect.signature(LazySchema.__init__).parameters
    missing = [name for name in theirs if name not in own]
    assert missing == []


def test_making_one_connects_to_nothing(monkeypatch):
    """A schema on a server that does not exist, without any setting, can be made and printed."""
    for name in ("LINK_USER", "LINK_PASS"):
        monkeypatch.delenv(name, raising=False)
    schema = LazySchema(
        "lab", {"a": 1}, host="nowhere.invalid", create_schema=False, create_tables=False, add_objects={"b": 2}
    )
    assert repr(schema) == "LazySchema('lab' on nowhere.invalid)"
    assert (schema.database, schema.context, schema.add_objects, schema.is_activated()) == ("lab", {"a": 1}, {"b": 2}, True)


def test_a_missing_setting_shows_on_first_use(monkeypatch):
    """The first use says which variable is missing."""
    monkeypatch.delenv("LINK_USER", raising=False)
    with pytest.raises(SettingMissing, match="LINK_USER"):
        LazySchema("lab", host="nowhere.invalid").list_tables()


def test_an_unreachable_server_shows_on_first_use():
    """The first use says which server cannot be reached, and a later one tries again."""
    schema = LazySchema("lab", host="127.0.0.1", port=1, user="u", password="p")
    for _ in range(2):
        with pytest.raises(ServerUnreachable, match="127.0.0.1:1 "):
            schema.list_tables()


def test_thread_safe_mode_asks_for_a_connection(monkeypatch):
    """Where DataJoint has no connection of its own, the error says how to give one."""
    monkeypatch.setenv("DJ_THREAD_SAFE", "1")
    with pytest.raises(ThreadSafetyError, match=r"connection=instance.connection to LazySchema\('lab'\)"):
        LazySchema("lab").list_tables()
