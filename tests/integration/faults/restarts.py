"""Servers stopped at once and started again, before each statement or for the rest of the call."""

from __future__ import annotations

from sessions import Owner


def _restarted(stage, call, at, server):
    def restart():
        server.stop(immediate=True)
        server.start()

    try:
        return Owner(stage).run(call, at, restart)
    finally:
        stage.revive()


def _down(stage, call, at, server):
    def stop():
        server.stop(immediate=True)
        stage.down = True

    try:
        return Owner(stage).run(call, at, stop)
    finally:
        if stage.down:
            server.start()
            stage.down = False
        stage.revive()


def source(stage, call, at):
    return _restarted(stage, call, at, stage.lab_s.server)


def local(stage, call, at):
    return _restarted(stage, call, at, stage.lab_l.server)


def source_down(stage, call, at):
    return _down(stage, call, at, stage.lab_s.server)


def local_down(stage, call, at):
    return _down(stage, call, at, stage.lab_l.server)
