"""The server's half of Engine.IO: sessions, and the requests and packets that belong to them.

The names below are what a transport of your own needs (:mod:`rawsio.engineio.server.transport`);
they are loaded on first use.
"""

from __future__ import annotations

from rawsio.lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .links import BODY, RESPONDED, WAITING, Link, Verdict
    from .transport import Transport

__all__ = ["BODY", "RESPONDED", "WAITING", "Link", "Transport", "Verdict"]

_HOMES = {
    "BODY": "rawsio.engineio.server.links",
    "RESPONDED": "rawsio.engineio.server.links",
    "WAITING": "rawsio.engineio.server.links",
    "Link": "rawsio.engineio.server.links",
    "Verdict": "rawsio.engineio.server.links",
    "Transport": "rawsio.engineio.server.transport",
}

__getattr__, __dir__ = lazily(globals(), _HOMES)
