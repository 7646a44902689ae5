"""A server that answers whatever bytes a test wants, over a plain or an encrypted socket, and counts who asked."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

#: Sends an answer; returns when it is over. The event says that the test has ended.
Answer = Callable[[socket.socket, threading.Event], None]


def saying(*pieces: bytes) -> Answer:
    """An answer of these pieces."""
    return lambda connection, _: connection.sendall(b"".join(pieces))


def repeating(piece: bytes, before: bytes = b"", every_s: float = 0) -> Answer:
    """An answer that never ends."""

    def send(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(before)
        while not ended.wait(every_s):
            connection.sendall(piece)

    return send


class RawServer:
    """Ends with the ``with`` block.

    Attributes:
        heard: What each connection sent first.
    """

    def __init__(self, answer: Answer, context: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.heard: list[bytes] = []
        self._context = context
        self._ended = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with connection, contextlib.suppress(OSError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                self.heard.append(connection.recv(65_536))
                self.answer(connection, self._ended)

    def __enter__(self) -> "RawServer":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(10)
