"""Servers on this machine's loopback that tests reach under invented names, as if they were far away."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["datagram_echo", "http_files", "stream_server"]


@contextmanager
def stream_server(serve: Callable[[socket.socket], None], *, family: int = socket.AF_INET) -> Iterator[int]:
    """Give each connection to ``serve`` in a thread of its own; yields the port."""
    address = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen(512)

        def work(connection: socket.socket) -> None:
            with connection:
                try:
                    serve(connection)
                except OSError:
                    pass  # the other side is what is tested

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=work, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def datagram_echo() -> Iterator[int]:
    """Send each datagram back in capitals; yields the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def work() -> None:
            while True:
                data, sender = server.recvfrom(65535)
                if not data:
                    return
                server.sendto(data.upper(), sender)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", server.getsockname())
        thread.join()


@contextmanager
def http_files(directory: Path) -> Iterator[int]:
    """Serve the files of a directory; yields the port."""

    class Files(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(directory))  # type: ignore[arg-type]

        def log_message(self, *_words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()
