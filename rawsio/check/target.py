"""What is known of the peer under test: its address, and what the probes found there.

Cases read it; :mod:`rawsio.check.probe` fills it in before the run.  ``$P`` and ``$H`` in the bytes
of a case stand for the path and the authority of the target.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .http_answers import Answer

__all__ = ["Target", "parse_url"]

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def parse_url(url: str) -> tuple[str, str, int, str]:
    """Return scheme, host, port and path; raises ``ValueError`` for what is no such URL.

    >>> parse_url("ws://[::1]:3000/chat"), parse_url("http://localhost")
    (('ws', '::1', 3000, '/chat'), ('http', 'localhost', 80, ''))
    """
    from urllib.parse import urlsplit

    if not isinstance(url, str):
        raise TypeError(f"a URL is a str, not {url!r}")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"a URL that begins with http, https, ws or wss is expected, not {url!r}")
    path = parts.path + ("?" + parts.query if parts.query else "")
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], path


class Target:
    """A server under test.

    ``path`` answers plain HTTP requests; ``control`` is the status that it gives to a method;
    ``echoes`` says whether it sends the body of a POST back, ``early`` whether it answers a POST
    before it has the body, ``alone`` that it serves one connection at a time, ``mute`` that paths
    which are not there get no answer. ``websocket`` is the target of WebSocket handshakes and
    ``manner`` how messages come back there: ``raw``, ``engine`` (as Engine.IO messages), ``socket``
    (as Socket.IO events) or ``""``. ``engine`` and ``socket`` are the paths of Engine.IO and of
    Socket.IO. ``addresses`` are host and port of the target (``""``) and of the endpoints ``echo``
    and ``engine`` where those are others; ``websocket_at`` and ``engine_at`` say which holds.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.scheme, self.host, self.port, self.given = parse_url(url)
        self.addresses: dict[str, tuple[str, int]] = {"": (self.host, self.port)}
        self.path = "/"
        self.control: dict[str, int] = {}
        self.echoes = False
        self.early = False
        self.alone = False
        self.mute = False
        self.websocket = ""
        self.websocket_at = ""
        self.manner = ""
        self.deflate = False
        self.engine = ""
        self.engine_at = ""
        self.engine_echoes = False
        self.socket = ""
        self.contract = "none"
        self.eio3 = False
        self.open: dict[str, Any] = {}
        self.seen: list[Answer] = []
        self.frames: list[tuple[int, bool]] = []
        self.facts: dict[str, Any] = {}

    @property
    def authority(self) -> str:
        """Host and port as they stand in a Host field."""
        return self.authority_of("")

    def authority_of(self, where: str) -> str:
        """Host and port of one of the addresses."""
        host, port = self.addresses.get(where) or self.addresses[""]
        shown = f"[{host}]" if ":" in host else host
        return shown if port == _PORTS[self.scheme] else f"{shown}:{port}"

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken."""
        return self.scheme in ("https", "wss")

    @property
    def origin(self) -> str:
        """The target's own origin."""
        return f"{'https' if self.secure else 'http'}://{self.authority}"

    def fill(self, data: bytes) -> bytes:
        """Put path and authority into the bytes of a case."""
        return data.replace(b"$P", self.path.encode()).replace(b"$H", self.authority.encode())

    def probed(self) -> dict[str, Any]:
        """Return what the probes found, for reports."""
        return {
            "path": self.path,
            "echo": self.echoes,
            "websocket": self.websocket,
            "manner": self.manner,
            "deflate": self.deflate,
            "engine": self.engine,
            "eio3": self.eio3,
            "alone": self.alone,
            "contract": self.contract,
            "pingInterval": self.open.get("pingInterval"),
        }
