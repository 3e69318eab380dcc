from __future__ import annotations

import pytest

from link import LazySchema, Link
from link.domain.errors import NoTerminal, SettingMissing
from link.infrastructure.composition import _answer


@pytest.mark.parametrize(("typed", "meant"), [("yes", True), ("YES", True), ("no", False), ("", False)])
def test_only_yes_is_yes(monkeypatch, typed, meant):
    """Nothing, and anything but yes, changes nothing; what would go is shown with the question."""
    shown = []
    monkeypatch.setattr("builtins.input", lambda text: shown.append(text) or typed)
    assert _answer("`lab`.`session` (3 tuples)\nCommit deletes?") is meant
    assert shown == ["`lab`.`session` (3 tuples)\nCommit deletes? [yes, No]: "]


def test_control_c_is_no(monkeypatch):
    """Ctrl-C at the question means that nothing is to be done."""

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    assert _answer("Commit deletes?") is False


@pytest.mark.parametrize(
    "error", [EOFError(), OSError("reading from stdin"), RuntimeError("input(): lost sys.stdin")], ids=repr
)
def test_without_a_terminal_there_is_a_way_out(monkeypatch, error):
    """Where nobody can answer, the error names prompt=False and safemode."""

    def unanswered(_):
        raise error

    monkeypatch.setattr("builtins.input", unanswered)
    with pytest.raises(NoTerminal, match=r"prompt=False.*safemode"):
        _answer("Commit deletes?")


def test_an_explicit_outbound_beats_the_environment(monkeypatch):
    """outbound= counts, else LINK_OUTBOUND, else the error names the variable."""
    monkeypatch.setenv("LINK_OUTBOUND", "from_environment")
    local, source = LazySchema("local"), LazySchema("source", host="there")
    cls = type("Session", (), {})
    assert Link(local, source, outbound="said")(cls)._operations.config.outbound_schema == "said"
    linked = Link(local, source)(cls)
    assert linked._operations.config.outbound_schema == "from_environment"
    monkeypatch.delenv("LINK_OUTBOUND")
    with pytest.raises(SettingMissing, match="LINK_OUTBOUND"):
        _ = linked._operations.config.outbound_schema
