"""The whole Socket.IO system in pure Python, from the raw socket up.

``from rawsio import Server`` gives the server, ``rawsio.connect`` a client; each layer is a package
of its own that can be used alone with bytes: :mod:`rawsio.http`, :mod:`rawsio.websocket`,
:mod:`rawsio.engineio`, :mod:`rawsio.socketio`.  Names are loaded on first use (PEP 562), so that
importing one layer imports only that layer.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .client import Client, connect
    from .errors import (
        ConnectionClosed,
        LocalProtocolError,
        RawsioError,
        Refused,
        RemoteProtocolError,
    )
    from .limits import Limits
    from .server import Server

__version__ = "0.1.0"

__all__ = [
    "Server",
    "Client",
    "connect",
    "Limits",
    "RawsioError",
    "LocalProtocolError",
    "RemoteProtocolError",
    "ConnectionClosed",
    "Refused",
]

_HOMES = {
    "Server": "server",
    "Client": "client",
    "connect": "client",
    "Limits": "limits",
    "RawsioError": "errors",
    "LocalProtocolError": "errors",
    "RemoteProtocolError": "errors",
    "ConnectionClosed": "errors",
    "Refused": "errors",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not by importlib, which costs a millisecond that a device may wait for.
    value: object = getattr(__import__(f"{__name__}.{home}", fromlist=[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
