"""The line between Link and a server, through a proxy: what happens to it happens at the statement's own line."""

from __future__ import annotations

import threading

from linked import TIMEOUT
from sessions import Owner


def _on_the_line(stage, call, at, act):
    """Let `act` befall the proxy of statement number `at`, or both where a connection is about to be opened."""
    owner = Owner(stage)
    by_port = {proxy.port: proxy for proxy in stage.proxies.values()}

    def happen():
        port = owner.current.conn_info["port"] if owner.current is not None else None
        for proxy in [by_port[port]] if port is not None else by_port.values():
            act(proxy)

    try:
        return owner.run(call, at, happen)
    finally:
        for proxy in by_port.values():
            proxy.losing = None


def cut(stage, call, at):
    return _on_the_line(stage, call, at, lambda proxy: proxy.cut())


def half_open(stage, call, at):
    return _on_the_line(stage, call, at, lambda proxy: proxy.half_open())


def lose_reply(stage, call, at):
    return _on_the_line(stage, call, at, lambda proxy: proxy.lose_reply(b""))


def lose_reply_silently(stage, call, at):
    """Keep the end of the line from the server too; it notices some time after the call."""
    try:
        return _on_the_line(stage, call, at, lambda proxy: proxy.lose_reply(b"", then_silent=True))
    finally:
        for proxy in stage.proxies.values():
            proxy.cut()


def stall(stage, call, at):
    timers = []

    def hold_up(proxy):
        proxy.stall()
        timers.append(threading.Timer(2.5 * TIMEOUT, proxy.resume))
        timers[-1].start()

    try:
        return _on_the_line(stage, call, at, hold_up)
    finally:
        for timer in timers:
            timer.join()
