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
    """One bar of bytes for the whole pull, with the total that was asked for, which grows where more arrives than recorded."""
    mocker.patch.object(sys.stderr, "isatty", return_value=True, create=True)
    shown = mocker.Mock(n=0)
    tqdm = mocker.patch("link.infrastructure.progress.tqdm", return_value=shown)
    bar = Bar()
    bar.begin("pull")
    bar.expect(lambda: 100)
    for size, n, total in ((10, 0, 100), (80, 10, 100), (30, 90, 120)):
        shown.n, shown.total = n, 100
        bar.carry(size)
        shown.update.assert_called_with(size)
        assert shown.total == total
    bar.end()
    assert [call.kwargs["unit"] for call in tqdm.call_args_list] == [" entities", "B"]
    assert tqdm.call_args.kwargs["total"] == 100


def test_nobody_counts_bytes_that_nobody_watches(mocker):
    """In a nightly run the source is not asked for a total."""
    bar = Bar()
    bar.begin("pull")
    bar.expect(mocker.Mock(side_effect=AssertionError))
    bar.carry(10)
    bar.end()
