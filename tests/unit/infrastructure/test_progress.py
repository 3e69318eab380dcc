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


def test_bytes_of_stored_objects_have_a_total(mocker):
    """Each chunk's objects have a bar of bytes with a total, which grows where sizes were not known."""
    mocker.patch.object(sys.stderr, "isatty", return_value=True, create=True)
    tqdm = mocker.patch("link.infrastructure.progress.tqdm", side_effect=lambda **_: mocker.Mock(n=0))
    bar = Bar()
    bar.begin("pull")
    for done, total in ((10, 100), (120, 100)):
        bar.carry(done, total)
        shown = bar._bytes
        shown.update.assert_called_with(done - shown.n)
        assert shown.total == max(done, total)
        shown.n = done
    bar.carry(5, 50)
    assert (bar._bytes is not shown, shown.close.call_count) == (True, 1)
    bar.end()
    assert [call.kwargs["unit"] for call in tqdm.call_args_list] == [" entities", "B", "B"]
