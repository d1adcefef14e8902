"""``io.sockets`` while other threads let clients in and out."""

from __future__ import annotations

import threading
from typing import Any

from rawsio.app.namespace import Sockets

SOCKET: Any = object()


def test_threads_may_go_over_the_sockets_while_they_change() -> None:
    sockets = Sockets()
    for number in range(2000):
        sockets[str(number)] = SOCKET
    stop = threading.Event()

    def change() -> None:
        number = 2000
        while not stop.is_set():
            sockets[str(number)] = SOCKET
            del sockets[str(number - 2000)]
            number += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(200):
            assert sum(1 for _ in sockets) >= 1999
            assert sum(1 for _ in sockets.values()) >= 1999
            assert all(socket is SOCKET for _, socket in sockets.items())
            assert len(sockets.keys()) >= 1999
    finally:
        stop.set()
        thread.join()


def test_a_loop_over_them_may_disconnect_them() -> None:
    sockets = Sockets(a=SOCKET, b=SOCKET)
    for sid in sockets:
        del sockets[sid]
    assert not sockets
    assert sockets.copy() == {}
    assert "a" not in sockets
