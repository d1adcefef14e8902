"""Programs in the languages of others, as ``rawsio check`` prints them.

A *contract* is a server that keeps what the Socket.IO cases need; a *driver* is a client that does
what the cases about clients ask for.  They are files beside this one, not modules of it: what they
import is not ours.
"""

from __future__ import annotations

__all__ = ["program", "programs"]

_FILES = {
    "contract": {
        "node": "contract-node.js.txt",
        "python-socketio": "contract-python-socketio.py.txt",
        "rawsio": "contract-rawsio.py.txt",
    },
    "driver": {
        "rawsio": "driver-rawsio.py.txt",
        "socket.io-client": "driver-socket.io-client.js.txt",
        "ws": "driver-ws.js.txt",
        "python-socketio": "driver-python-socketio.py.txt",
        "websockets": "driver-websockets.py.txt",
        "websocket-client": "driver-websocket-client.py.txt",
        "page": "driver-page.html.txt",
    },
}


def programs(kind: str) -> list[str]:
    """Return the names of the programs of a kind: ``contract`` or ``driver``.

    >>> "rawsio" in programs("contract")
    True
    """
    return list(_FILES[kind])


def program(kind: str, name: str) -> str:
    """Return the text of a program; ``KeyError`` if there is none with this name."""
    from importlib.resources import files

    return (files(__name__) / _FILES[kind][name]).read_text("utf-8")
