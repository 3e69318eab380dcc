from __future__ import annotations

import sys

from link.infrastructure.progress import Bar


def test_it_is_silent_where_nobody_looks(capsys):
    """In a nightly run's log there is no bar."""
    bar = Bar()
    bar.begin("pulling")
    bar.advance(3)
    bar.end()
    assert capsys.readouterr() == ("", "")


def test_it_shows_entities_at_a_terminal(mocker):
    """At a terminal the bar has the task, counts entities, and leaves nothing behind."""
    mocker.patch.object(sys.stderr, "isatty", return_value=True, create=True)
    tqdm = mocker.patch("link.infrastructure.progress.tqdm")
    bar = Bar()
    bar.begin("pulling")
    bar.advance(3)
    bar.end()
    assert tqdm.call_args.kwargs["desc"] == "pulling"
    assert (tqdm.call_args.kwargs["disable"], tqdm.call_args.kwargs["leave"]) == (False, False)
    tqdm.return_value.update.assert_called_once_with(3)
    tqdm.return_value.close.assert_called_once_with()
