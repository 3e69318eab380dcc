"""A line between a client and a server that tests can cut, let fall silent, slow down, or rob of a reply.

    with Proxy(server.port) as proxy:       # connect to 127.0.0.1:proxy.port
        proxy.cut()                         # both ends see the line go down
        proxy.half_open()                   # the server sees it go down, the client hears nothing any more
        proxy.stall(); proxy.resume()       # both ends hear nothing for a while
        proxy.delay = 0.05                  # seconds that everything takes in each direction
        proxy.lose_reply(b"COMMIT")         # the next statement with these bytes arrives, its reply does not

`lose_reply` and `answer` read what passes, so the line has to be plain (`use_tls=False`; MySQL's is not unless asked).
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress

from attrs import define, field

SSL_REQUEST = struct.pack("!II", 8, 80877103)
"""What a PostgreSQL client sends first where it wants TLS."""


@define(eq=False)
class _Line:
    """One client's connection through the proxy."""

    proxy: Proxy
    client: socket.socket
    server: socket.socket
    silent: bool = field(default=False, init=False)
    """Whether the client hears nothing any more."""
    robbed: bool = field(default=False, init=False)
    """Whether the reply that comes next is to be lost."""

    def start(self):
        for ends in ((self.client, self.server, self._upstream), (self.server, self.client, self._downstream)):
            threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source, sink, passes):
        try:
            while data := source.recv(65536):
                time.sleep(self.proxy.delay)
                self.proxy.flowing.wait()
                if (left := passes(data)) is not None:
                    sink.sendall(left)
        except OSError:
            pass  # the line is down, which the other end learns below
        if not self.silent:
            self.cut()

    def _upstream(self, data):
        self.proxy.sent += data
        own = self.proxy.answer(data)
        if own is not None:
            self.client.sendall(own)
            return None
        if self.proxy.losing is not None and self.proxy.losing in data:
            self.proxy.losing, self.robbed = None, True
        return data

    def _downstream(self, data):
        if self.silent:
            return None
        if not self.robbed:
            return data
        self.robbed = False
        self.proxy.lost.set()
        if self.proxy.then_silent:
            self.silent = True
        else:
            self.cut()
        return None

    def half_open(self):
        self.silent = True
        _hang_up(self.server)

    def cut(self):
        _hang_up(self.server)
        _hang_up(self.client)


def _hang_up(end):
    with suppress(OSError):  # where it is down already
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@define(eq=False)
class Proxy:
    """Passes connections to 127.0.0.1:`to` on; with a `context`, PostgreSQL clients get TLS from here on."""

    to: int
    context: object = None
    delay: float = 0.0
    port: int = field(init=False)
    sent: bytearray = field(factory=bytearray, init=False)
    """All that clients have sent to the server."""
    lost: threading.Event = field(factory=threading.Event, init=False)
    """Set once a reply was lost."""
    flowing: threading.Event = field(factory=threading.Event, init=False)
    losing: bytes | None = field(default=None, init=False)
    then_silent: bool = field(default=False, init=False)
    _listener: socket.socket = field(init=False)
    _lines: list = field(factory=list, init=False)

    def __attrs_post_init__(self):
        self.flowing.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def answer(self, data):
        """Return what the client gets in place of the server's reply to `data`; None lets `data` pass."""
        return

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client):
        self.flowing.wait()
        try:
            if self.context is not None:
                client = self._encrypted(client)
            line = _Line(self, client, socket.create_connection(("127.0.0.1", self.to)))
        except OSError:
            _hang_up(client)  # no server there, or a client that does not like the certificate
            return
        self._lines.append(line)
        line.start()

    def _encrypted(self, client):
        if client.recv(8) != SSL_REQUEST:
            raise ConnectionError
        client.sendall(b"S")
        return self.context.wrap_socket(client, server_side=True)

    def lose_reply(self, words, *, then_silent=False):
        """Let the next statement with these bytes arrive, and cut the line, or let it fall silent, in place of its reply."""
        self.lost.clear()
        self.then_silent, self.losing = then_silent, words

    def cut(self):
        """Take every line down, as both ends see."""
        for line in self._taken():
            line.cut()

    def half_open(self):
        """Take every line down so that the server sees it and the client does not."""
        for line in self._taken():
            line.half_open()

    def _taken(self):
        lines, self._lines = self._lines, []
        return lines

    def stall(self):
        """Let nothing pass any more, on lines that are there and on new ones."""
        self.flowing.clear()

    def resume(self):
        self.flowing.set()

    def close(self):
        _hang_up(self._listener)
        self.resume()
        self.cut()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def refused(status, code):
    """Return the reply of an object store that refuses a request, after which it hangs up."""
    body = f"<Error><Code>{code}</Code><Message>not here</Message></Error>"
    return f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
