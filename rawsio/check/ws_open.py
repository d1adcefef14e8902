"""``ws.open``: the opening handshake, from the server's point of view.

Handshakes are written field by field; the 101 is judged field by field.
"""

from __future__ import annotations

from rawsio.websocket.handshake import accept_key

from .case import Case, Finding, NotOffered, failed, fine, lax, rows
from .http_wire import Answer, ended_by, hear, show
from .ws_judges import WS_JUDGES
from .ws_wire import PING, PONG, Channel, F, encode, handshake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .case import Send
    from .talk import Line, Talk

__all__ = ["CASES"]

_SAMPLE = "dGhlIHNhbXBsZSBub25jZQ=="


def _wrong_101(answer: Answer, key: str) -> str:
    """Say what is wrong with a 101; nothing was offered but the upgrade."""
    if (answer.get("upgrade") or "").lower() != "websocket":
        return "Upgrade is not websocket"
    tokens = [item.strip(" \t").lower() for item in (answer.get("connection") or "").split(",")]
    if "upgrade" not in tokens:
        return "Connection does not name Upgrade"
    if answer.all("sec-websocket-accept") != [accept_key(key)]:
        return "Sec-WebSocket-Accept does not match"
    if answer.all("sec-websocket-extensions"):
        return "an extension that was not offered"
    if answer.version != "1.1":
        return "the 101 is not HTTP/1.1"
    return ""


def _ask(talk: Talk, data: bytes, *, cut: int | None = None) -> tuple[Line, Answer | None, str]:
    wire = talk.dial(talk.target.websocket_at)
    talk.cut = cut
    wire.send(data, cut=cut is not None)
    heard = hear(talk, wire, 1, [data.partition(b" ")[0].decode("latin-1")])
    return wire, heard.answers[0] if heard.answers else None, ended_by(wire, heard)


def _opens(
    *lines: str,
    drop: Sequence[str] = (),
    key: str = "",
    cut: int | None = None,
    form: str = "",
    lenient: bool = False,
) -> Send:
    """Return a case whose handshake has to be accepted, and answered for what it offered.

    A ``lenient`` one may be refused, or answered as if it had no Upgrade.
    """

    def case(talk: Talk) -> Finding:
        target = ""
        if form and talk.target.websocket:
            target = f"http://{talk.target.authority_of(talk.target.websocket_at)}"
            target += talk.target.websocket
        data, nonce = handshake(talk, *lines, drop=drop, key=key, target=target)
        wire, answer, got = _ask(talk, data, cut=cut)
        if answer is None or answer.status != 101:
            if lenient and answer is not None and answer.status < 500:
                return lax(got, "a server may ignore an Upgrade that has a list")
            return failed(got, "a faultless handshake")
        wrong = _wrong_101(answer, nonce)
        if wrong:
            return failed(show(answer.head, 300), wrong)
        if answer.all("sec-websocket-protocol"):
            return failed(show(answer.head, 300), "a subprotocol that was not offered")
        channel = Channel(talk, wire, answer, nonce)
        wire.send(encode(F(PING, b"open?")))
        channel.read_until_closed(stop=b"open?")
        if not any(frame.opcode == PONG for frame in channel.frames):
            return failed(channel.said(), "opened, but no ping is answered")
        return fine("101")

    return case


def _early(part: int) -> Send:
    """Return a case that sends a frame, or its first bytes, in the handshake's segment."""

    def case(talk: Talk) -> Finding:
        data, nonce = handshake(talk)
        frame = encode(F(PING, b"early"))
        part_of = frame[: part or len(frame)]
        wire, answer, got = _ask(talk, data + part_of)
        if answer is None or answer.status != 101:
            if answer is not None and answer.status < 500:
                return lax(got, "refused: clients must wait for the 101")
            return failed(got, "a faultless handshake")
        wire.send(frame[len(part_of) :])
        channel = Channel(talk, wire, answer, nonce)
        channel.read_until_closed(stop=b"early")
        if any(f.opcode == PONG and f.payload == b"early" for f in channel.frames):
            return fine(channel.said())
        return lax(channel.said(), "the early frame was lost: clients must wait for the 101")

    return case


def _refused(
    *lines: str,
    drop: Sequence[str] = (),
    wanted: Sequence[int] = (400,),
    field: str = "",
    lenient: bool = False,
    method: str = "GET",
    version: str = "1.1",
    key: str = "",
    body: bytes = b"",
) -> Send:
    """Return a case whose handshake has to be refused; ``field`` must be in the refusal."""

    def case(talk: Talk) -> Finding:
        data, nonce = handshake(talk, *lines, drop=drop, method=method, version=version, key=key)
        _wire, answer, got = _ask(talk, data + body)
        if answer is None:
            return lax(got, "no answer")
        if answer.status == 101:
            if lenient and not _wrong_101(answer, nonce):
                return lax(got, "opened, without the bad item")
            return failed(got, "a WebSocket was opened")
        if answer.status >= 500 and answer.status not in (501, 505):
            return failed(got)
        if answer.status < 400:
            return lax(got, "answered as a plain request")
        if field and not answer.all(field):
            return lax(got, f"the answer has no {field}")
        return fine(got) if answer.status in wanted else lax(got)

    return case


_K = "sec-websocket-key"
_V = "sec-websocket-version"
_TWO_LINES = ("Connection: keep-alive", "Connection: Upgrade")
_LOWER = (
    "upgrade: websocket",
    "connection: Upgrade",
    f"sec-websocket-key: {_SAMPLE}",
    "sec-websocket-version: 13",
)
_ALL = ("upgrade", "connection", _K, _V)

_GOOD = rows(
    "ws.open",
    "6455-4.2.2-101",
    "SW",
    WS_JUDGES,
    [("plain", "the sample key of RFC 6455", _opens(key=_SAMPLE))],
)
_GOOD += rows(
    "ws.open",
    "6455-4.2.1-upgrade",
    "SW",
    WS_JUDGES,
    [
        ("upgrade-case", "Upgrade: WebSocket", _opens("Upgrade: WebSocket", drop=["upgrade"])),
        ("connection-case", "upgrade", _opens("Connection: upgrade", drop=["connection"])),
        (
            "connection-list",
            "keep-alive, Upgrade",
            _opens("Connection: keep-alive, Upgrade", drop=["connection"]),
        ),
        ("connection-two-lines", "two Connection lines", _opens(*_TWO_LINES, drop=["connection"])),
        ("header-case", "names in small letters", _opens(*_LOWER, drop=_ALL, key=_SAMPLE)),
        (
            "ows-key",
            "blanks around the key",
            _opens(f"Sec-WebSocket-Key: \t {_SAMPLE} \t", drop=[_K], key=_SAMPLE),
        ),
        ("unknown-field", "an unknown Sec- field", _opens("Sec-WebSocket-Foo: bar")),
        ("cookie", "with a Cookie", _opens("Cookie: a=b; c=d")),
        ("no-origin", "without Origin", _opens()),
        ("absolute", "target in absolute form", _opens(form="absolute")),
        ("bytewise", "one byte a segment", _opens(cut=0)),
    ],
)
_GOOD += rows(
    "ws.open",
    "6455-4.2.1-upgrade",
    "SW-S",
    WS_JUDGES,
    [
        (
            "upgrade-list",
            "h2c, websocket",
            _opens("Upgrade: h2c, websocket", drop=["upgrade"], lenient=True),
        ),
        ("early-frame", "a frame in the handshake's segment is read", _early(0)),
        ("early-half-frame", "half a frame in it", _early(3)),
    ],
)

_BAD = rows(
    "ws.open",
    "6455-4.2.1-get",
    "HREJ405",
    WS_JUDGES,
    [
        (name.lower(), name, _refused(method=name, wanted=(400, 405)))
        for name in ("POST", "HEAD", "PUT")
    ],
)
_BAD += rows(
    "ws.open",
    "6455-4.2.1-http-version",
    "HREJ",
    WS_JUDGES,
    [
        ("http10", "HTTP/1.0", _refused(version="1.0", wanted=(400, 426, 505))),
        ("no-host", "no Host", _refused(drop=["host"])),
        ("two-hosts", "two Hosts", _refused("Host: other")),
        (
            "body",
            "GET with five bytes",
            _refused("Content-Length: 5", body=b"hello", lenient=True),
        ),
        (
            "chunked",
            "GET with a chunked body",
            _refused("Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n", lenient=True),
        ),
    ],
)
_BAD += rows(
    "ws.open",
    "6455-4.2.1-upgrade",
    "HREJ426",
    WS_JUDGES,
    [
        (name, text, _refused(*lines, drop=[drop], wanted=(400, 426)))
        for name, text, drop, lines in (
            ("no-upgrade", "no Upgrade", "upgrade", ()),
            ("upgrade-other", "Upgrade: foo", "upgrade", ("Upgrade: foo",)),
            ("upgrade-prefix", "websocketx", "upgrade", ("Upgrade: websocketx",)),
            ("no-connection", "no Connection", "connection", ()),
            ("connection-other", "Connection: close", "connection", ("Connection: close",)),
            ("connection-prefix", "Upgradex", "connection", ("Connection: Upgradex",)),
        )
    ],
)
_BAD += rows(
    "ws.open",
    "6455-4.2.1-key",
    "HREJ",
    WS_JUDGES,
    [
        ("no-key", "no key", _refused(drop=[_K])),
        ("key-empty", "an empty key", _refused("Sec-WebSocket-Key:", drop=[_K])),
        ("key-twice", "two keys", _refused(f"Sec-WebSocket-Key: {_SAMPLE}")),
    ],
)
# Section 4.2.2: it is not necessary for a server to decode the key.
_BAD += rows(
    "ws.open",
    "6455-4.2.1-key",
    "HREJ-S",
    WS_JUDGES,
    [
        (f"key-{name}", text, _refused(key=key, lenient=True))
        for name, text, key in (
            ("short", "15 bytes", "dGhlIHNhbXBsZSBub25j"),
            ("long", "17 bytes", "dGhlIHNhbXBsZSBub25jZWU="),
            ("no-padding", "22 characters", "dGhlIHNhbXBsZSBub25jZQ"),
            ("urlsafe", "the alphabet of URLs", "-_hlIHNhbXBsZSBub25jZQ=="),
            ("space", "a blank inside", "dGhlIHNhbXBs SBub25jZQ=="),
            ("trailing-bits", "unused bits set", "dGhlIHNhbXBsZSBub25jZR=="),
            ("not-base64", "! inside", "dGhlIHNhbXBs!SBub25jZQ=="),
        )
    ],
)
_BAD += rows(
    "ws.open",
    "6455-4.2.2-version",
    "HREJ426V",
    WS_JUDGES,
    [
        (f"v{name}", text, _refused(*lines, drop=[_V], wanted=(400, 426), field=_V))
        for name, text, lines in (
            *(
                (v, f"version {v}", (f"Sec-WebSocket-Version: {v}",))
                for v in ("0", "12", "14", "255", "256")
            ),
            ("13-list", "13, 8", ("Sec-WebSocket-Version: 13, 8",)),
            ("13-pad", "013", ("Sec-WebSocket-Version: 013",)),
            ("-empty", "an empty version", ("Sec-WebSocket-Version:",)),
            ("-missing", "no version", ()),
            ("-twice", "13 twice", ("Sec-WebSocket-Version: 13",) * 2),
            ("-text", "x", ("Sec-WebSocket-Version: x",)),
        )
    ],
)
# Drafts with the same handshake: section 4.4 lets a server speak several versions.
_BAD += rows(
    "ws.open",
    "6455-4.2.2-version",
    "HREJ426V-S",
    WS_JUDGES,
    [
        (
            f"v{version}",
            f"version {version}, a draft",
            _refused(
                f"Sec-WebSocket-Version: {version}",
                drop=[_V],
                wanted=(400, 426),
                field=_V,
                lenient=True,
            ),
        )
        for version in ("7", "8")
    ],
)


def _protocol(*lines: str, allowed: Sequence[str] = ()) -> Send:
    """Return a case that offers subprotocols; at most one of ``allowed`` may be answered."""

    def case(talk: Talk) -> Finding:
        data, nonce = handshake(talk, *lines)
        _wire, answer, got = _ask(talk, data)
        if answer is None:
            return failed(got)
        if answer.status != 101:
            return lax(got, "not opened") if answer.status < 500 else failed(got)
        wrong = _wrong_101(answer, nonce)
        chosen = answer.all("sec-websocket-protocol")
        if wrong or len(chosen) > 1 or (chosen and chosen[0] not in allowed):
            return failed(show(answer.head, 300), wrong or f"chosen: {chosen}")
        return fine(f"chosen: {chosen[0] if chosen else 'none'}")

    return case


_P = "Sec-WebSocket-Protocol: "
_E = "Sec-WebSocket-Extensions: "
_OFFERS = rows(
    "ws.open",
    "6455-4.2.2-protocol",
    "NOPROTO",
    WS_JUDGES,
    [
        ("proto-one", "a: a or none", _protocol(_P + "a", allowed=["a"])),
        ("proto-list", "a, b: one of them or none", _protocol(_P + "a, b", allowed=["a", "b"])),
        ("proto-unknown", "zzz: zzz or none", _protocol(_P + "zzz", allowed=["zzz"])),
        ("proto-two-lines", "two lines", _protocol(_P + "a", _P + "b", allowed=["a", "b"])),
        ("proto-none", "none offered, none answered", _protocol()),
    ],
)
_OFFERS += rows(
    "ws.open",
    "6455-4.1-protocol-grammar",
    "HREJ-S",
    WS_JUDGES,
    [
        ("proto-dup", "a, a", _refused(_P + "a, a", lenient=True)),
        ("proto-bad-token", "a b", _refused(_P + "a b", lenient=True)),
        ("proto-empty", "an empty field", _refused(_P, lenient=True)),
    ],
)
_OFFERS += rows(
    "ws.open",
    "6455-9.1-grammar",
    "HREJ-S",
    WS_JUDGES,
    [
        ("ext-bad", ";;", _refused(_E + ";;", lenient=True)),
        ("ext-unquoted", "an open quote", _refused(_E + 'x; a="', lenient=True)),
        ("ext-token", "x y", _refused(_E + "x y", lenient=True)),
    ],
)
_OFFERS += rows(
    "ws.open",
    "6455-4.2.2-extensions",
    "SW",
    WS_JUDGES,
    [
        ("ext-unknown", "an unknown extension is not answered", _opens(_E + "x-foo; bar=1")),
        ("ext-unknown-list", "two unknown ones", _opens(_E + "x-a, x-b")),
        ("ext-quoted", "a quoted value", _opens(_E + 'x; a="b"')),
    ],
)


def _origin(text: str, *, foreign: bool = True, host: str = "", twice: bool = False) -> Send:
    """Return a case with an Origin; a foreign one should be refused with 403."""

    def case(talk: Talk) -> Finding:
        if not talk.target.websocket:
            raise NotOffered("no WebSocket endpoint was found")
        authority = talk.target.authority_of(talk.target.websocket_at)
        value = text.replace("$H", authority)
        lines = [f"Origin: {value}"] * (2 if twice else 1)
        lines += [f"Host: {host}"] if host else []
        data, _nonce = handshake(talk, *lines, drop=["host"] if host else [])
        _wire, answer, got = _ask(talk, data)
        if answer is None or answer.status >= 500:
            return failed(got)
        if not foreign:
            return fine(got) if answer.status == 101 else failed(got, "its own origin was refused")
        if answer.status == 101:
            return lax(got, "a foreign page may open WebSockets here")
        good = answer.status == 403 or (twice and answer.status == 400)
        return fine(got) if good else lax(got)

    return case


_ORIGIN: list[tuple[str, str, Send]] = [
    ("origin-same", "its own origin is accepted", _origin("http://$H", foreign=False)),
    ("origin-foreign", "https://evil.example", _origin("https://evil.example")),
    ("origin-null", "null", _origin("null")),
    ("origin-prefix", "its own name as a prefix", _origin("http://$H.evil.example")),
    ("origin-scheme", "another scheme", _origin("https://$H")),
    ("origin-port", "another port", _origin("http://127.0.0.1:9")),
    ("origin-twice", "two Origins", _origin("https://evil.example", twice=True)),
    (
        "host-rebinding",
        "foreign Host and Origin that agree",
        _origin("http://evil.example", host="evil.example"),
    ),
]

CASES: list[Case] = [
    *_GOOD,
    *_BAD,
    *_OFFERS,
    *rows("ws.open", "6455-10.2-origin", "ORIGIN", WS_JUDGES, _ORIGIN),
]
