"""A TCP proxy on the loopback interface that can be partitioned: it refuses, drops or stalls, and resumes."""

import contextlib
import socket
import threading
from dataclasses import dataclass, field

from helpers.ports import free_port

MODES = ("pass", "refuse", "drop", "stall")


@dataclass
class Line:
    """Forwards connections from `port` to `target`. A context manager.

    refuse: nothing listens, and open connections are closed. drop: what is sent is lost, also after the line passes
    again, as after a firewall forgot its connections. stall: what is sent arrives once the line passes again.
    """

    target: int
    port: int = field(default_factory=free_port)
    mode: str = "pass"

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._ended = False
        self._listener: socket.socket | None = None

    def __enter__(self) -> "Line":
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._refuse()

    def set(self, mode: str) -> None:
        """Change how the line behaves."""
        assert mode in MODES
        with self._changed:
            self.mode = mode
            self._changed.notify_all()
        if mode == "refuse":
            self._refuse()
        elif self._listener is None:
            self._listen()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _refuse(self) -> None:
        listener, self._listener = self._listener, None
        for each in ([listener] if listener else []) + list(self._open):
            _close(each)
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return  # closed
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()  # the server is down
                continue
            self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pipe, args=(source, sink), daemon=True).start()

    def _pipe(self, source: socket.socket, sink: socket.socket) -> None:
        dropped = False
        with contextlib.suppress(OSError):  # one side has closed the connection
            while data := source.recv(65536):
                with self._changed:
                    self._changed.wait_for(lambda: self.mode != "stall" or self._ended)
                    dropped |= self.mode == "drop"
                if not dropped:
                    sink.sendall(data)
        for end in (source, sink):
            if not dropped:
                _close(end)
                self._open.discard(end)


def _close(end: socket.socket) -> None:
    """Also where another thread is reading from it: close alone would leave the connection open."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
