"""``client.ws``: a WebSocket client, from the server's point of view.

The client is a Socket.IO client that uses WebSocket alone, or a plain WebSocket client that echoes
(``--speaks ws``).  A case is right when the client refuses what it has to refuse, tells its user,
and does not come back without a delay.
"""

from __future__ import annotations

from binascii import Error, a2b_base64
from functools import partial

from .case import Case, Finding, NotOffered, failed, fine, lax, rows
from .client_wire import Asked, Host, Link, host, plain, still_answers
from .eio_open import EIO_JUDGES
from .ws_deflated import SYNC, compressor
from .ws_wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, F

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .case import Judge, Send
    from .talk import Line, Talk

__all__ = ["CASES", "CLIENT_JUDGES", "GOES_ON", "refuses"]

GOES_ON = "the client goes on"
"""What is said of a client that takes what it has to refuse."""

CLIENT_JUDGES: dict[str, Judge] = dict.fromkeys(("CPASS", "CFAIL"), EIO_JUDGES["STEP"])
_TROUBLE = ("connect_error", "error", "disconnect", "close")


def _asked(made: Host) -> Asked:
    """Wait for the handshake; raises :class:`NotOffered` if the client never asks for one."""
    found: list[Asked] = []

    def keep(asked: Asked) -> bool:
        if asked.upgrades:
            found.append(asked)
            return True
        return False

    made.respond = keep
    made.work(lambda: bool(found), 10.0)
    if not found:
        raise NotOffered("the client opens no WebSocket")
    made.respond = lambda _asked: False
    return found[0]


def _open(talk: Talk, **options: object) -> tuple[Host, Link]:
    """Return the server and the open WebSocket of a client that is at work."""
    made = host(talk, transports=["websocket"], reconnection=False, **options)
    asked = _asked(made)
    made.switch(asked)
    if made.link is None:
        raise NotOffered("the client opens no WebSocket of its own")
    if "EIO" in asked.query and not made.join():
        raise NotOffered("the client does not join")
    return made, made.link


def refuses(made: Host, closed: Callable[[], bool]) -> Finding:
    """Judge that the client ends the connection and tells its user, without a storm."""
    ended = made.work(closed, 5.0)
    before = made.connections
    if getattr(made.caller, "blind", False):
        return fine(made.said()) if ended else failed(made.said(), GOES_ON)
    told = made.work(lambda: any(i.get("event") in _TROUBLE for i in made.seen), 2.0)
    made.work(lambda: False, 0.3)
    said = made.said()
    if made.connections - before > 5:
        return failed(said, "it comes back without a delay")
    if not ended:
        return failed(said, GOES_ON)
    return fine(said) if told else lax(said, "its user is not told")


# Handshakes that a client must refuse

_101 = "HTTP/1.1 101 Switching Protocols\r\n"
_UP, _CON = "Upgrade: websocket\r\n", "Connection: Upgrade\r\n"
_DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


def _bad_101(
    *lines: str, first: str = _101, usual: str = _UP + _CON + "$A", end: bool = False
) -> Send:
    """Return a case whose answer to the handshake is wrong; ``$A`` is the right accept field."""

    def case(talk: Talk) -> Finding:
        from rawsio.websocket.handshake import accept_key

        made = host(talk, transports=["websocket"], reconnection=False)
        made.automatic = False
        asked = _asked(made)
        accept = f"Sec-WebSocket-Accept: {accept_key(asked.get('sec-websocket-key') or '')}\r\n"
        text = first + usual + "".join(f"{line}\r\n" for line in lines) + "\r\n"
        offered = asked.get("sec-websocket-extensions") or ""
        if "client_max_window_bits" in text and "client_max_window_bits" in offered:
            raise NotOffered("the client offers client_max_window_bits")
        if "permessage" in text and "permessage-deflate" not in offered and "99" not in text:
            text = text.replace("$X", "")
        made.raw(asked, text.replace("$A", accept).replace("$W", accept[:-5] + "AAA=\r\n").encode())
        if end:
            asked.line.finish()
        line = asked.line
        return refuses(made, lambda: bool(line.ended))

    return case


def _status(code: int) -> Send:
    return _bad_101(first=f"HTTP/1.1 {code} X\r\nContent-Length: 0\r\n", usual="")


def _cut_head(talk: Talk) -> Finding:
    made = host(talk, transports=["websocket"], reconnection=False)
    asked = _asked(made)
    made.raw(asked, b"HTTP/1.1 101 Switching Pro")
    asked.line.finish()
    return refuses(made, lambda: bool(asked.line.ended))


def _silent(talk: Talk) -> Finding:
    made = host(talk, transports=["websocket"], reconnection=False, timeout=1.0)
    asked = _asked(made)
    return refuses(made, lambda: bool(asked.line.ended))


_HANDSHAKES: list[tuple[object, ...]] = [
    ("status-200", "200", _status(200)),
    ("status-426", "426", _status(426)),
    ("accept-wrong", "a wrong accept", _bad_101(usual=_UP + _CON + "$W")),
    ("accept-missing", "no accept", _bad_101(usual=_UP + _CON)),
    ("accept-twice", "two accepts", _bad_101(usual=_UP + _CON + "$A$W")),
    ("no-upgrade", "no Upgrade", _bad_101(usual=_CON + "$A")),
    ("no-connection", "no Connection", _bad_101(usual=_UP + "$A")),
    ("upgrade-other", "Upgrade: foo", _bad_101(usual="Upgrade: foo\r\n" + _CON + "$A")),
    ("protocol-unasked", "a subprotocol not asked for", _bad_101("Sec-WebSocket-Protocol: zzz")),
    (
        "protocol-two",
        "two of them",
        _bad_101("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"),
    ),
    (
        "extension-unasked",
        "an extension not asked for",
        _bad_101("Sec-WebSocket-Extensions: x-foo"),
    ),
    (
        "deflate-bad-bits",
        "server_max_window_bits=99",
        _bad_101(f"{_DEFLATE}; server_max_window_bits=99"),
    ),
    ("deflate-unknown", "an unknown parameter", _bad_101(f"{_DEFLATE}; foo=1")),
    ("deflate-twice", "permessage-deflate twice", _bad_101(f"{_DEFLATE}, permessage-deflate")),
    (
        "deflate-cmwb-unasked",
        "client_max_window_bits not offered",
        _bad_101(f"{_DEFLATE}; client_max_window_bits=10"),
    ),
    ("cut", "the head is cut off", _cut_head),
]

# Frames that a client must refuse


def _bad(*frames: F) -> Send:
    """Return a case whose frames the client has to refuse."""

    def case(talk: Talk) -> Finding:
        made, link = _open(talk)
        link.send(*frames)
        return refuses(made, lambda: link.over)

    return case


def _bomb(talk: Talk) -> Finding:
    made = host(talk, transports=["websocket"], reconnection=False, perMessageDeflate=True)
    asked = _asked(made)
    if "permessage-deflate" not in (asked.get("sec-websocket-extensions") or ""):
        raise NotOffered("the client offers no deflate")
    made.switch(asked, f"{_DEFLATE}\r\n")
    if "EIO" in asked.query:
        made.join()
    stream = compressor(9)
    data = b"".join(stream.compress(bytes(1 << 20)) for _ in range(256))
    data += stream.flush(SYNC)[:-4]
    link = made.link
    if link is None:
        raise NotOffered("the client opens no WebSocket")
    link.send(plain(BINARY, data, rsv=4))
    return refuses(made, lambda: link.over)


_FRAMES: list[tuple[object, ...]] = [
    ("masked-frame", "a masked frame", _bad(F(TEXT, b"6"))),
    ("rsv", "RSV2", _bad(plain(TEXT, b"6", rsv=2))),
    ("opcode", "opcode 3", _bad(plain(3))),
    ("control-126", "a ping of 126 bytes", _bad(plain(PING, b"x" * 126))),
    ("control-fragmented", "a ping without FIN", _bad(plain(PING, b"x", fin=False))),
    ("continuation", "a continuation of nothing", _bad(plain(CONTINUATION, b"x"))),
    ("interleaved", "text inside a message", _bad(plain(TEXT, b"4", fin=False), plain(TEXT, b"6"))),
    ("utf8", "bad UTF-8", _bad(plain(TEXT, b'42["message","\xff"]'))),
    ("close-1005", "close 1005", _bad(plain(CLOSE, b"\x03\xed"))),
    ("close-one-byte", "a close of one byte", _bad(plain(CLOSE, b"\x03"))),
    ("bomb", "a deflate bomb", _bomb),
    (
        "rsv1-continuation",
        "RSV1 on a continuation",
        _bad(plain(TEXT, b"4", fin=False), plain(CONTINUATION, b"x", rsv=4)),
    ),
]


def _tolerated(send: Send) -> Send:
    """Return a case that a client need not refuse: no rule says what becomes of it."""

    def case(talk: Talk) -> Finding:
        if not callable(send):
            raise TypeError("a function is expected")
        finding = send(talk)
        return lax(finding.got, GOES_ON) if finding.note == GOES_ON else finding

    return case


_SOFT: list[tuple[object, ...]] = [
    ("silent", "no answer: a time-out", _tolerated(_silent)),
    (
        "http10",
        "a 101 of HTTP/1.0",
        _tolerated(_bad_101(first="HTTP/1.0 101 Switching Protocols\r\n")),
    ),
    (
        "length-top-bit",
        "the top bit of a length",
        _tolerated(_bad(plain(BINARY, size=64, claim=1 << 63))),
    ),
    ("huge", "a length of 2**62", _tolerated(_bad(plain(BINARY, size=64, claim=1 << 62)))),
]

# What a client does


def _request(talk: Talk) -> Finding:
    asked = _asked(host(talk, transports=["websocket"], reconnection=False))
    wanted = {"upgrade": "websocket", "sec-websocket-version": "13"}
    wrong = [n for n, v in wanted.items() if (asked.get(n) or "").lower() != v]
    wrong += [n for n in ("host", "connection", "sec-websocket-key") if not asked.get(n)]
    return failed(f"{asked.fields!r:.200}", f"{wrong}") if wrong else fine(f"{asked.fields!r:.100}")


def _nonce(talk: Talk) -> Finding:
    key = _asked(host(talk, transports=["websocket"], reconnection=False)).get("sec-websocket-key")
    used = talk.target.facts.setdefault("nonces", set())
    try:
        good = len(a2b_base64(key or "")) == 16
    except Error:
        good = False
    if not good or key in used:
        return failed(f"{key!r}", "16 fresh bytes in base64 were due")
    used.add(key)
    return fine(f"{key}")


def _no_body(talk: Talk) -> Finding:
    asked = _asked(host(talk, transports=["websocket"], reconnection=False))
    return failed(f"{asked.body!r}") if asked.body or asked.get("content-length") else fine()


def _waits(talk: Talk) -> Finding:
    made = host(talk, transports=["websocket"], reconnection=False)
    asked = _asked(made)
    made.work(lambda: bool(asked.line.heard), 0.4)
    early = bytes(asked.line.heard)
    return failed(f"{early[:40]!r}", "sent before the 101") if early else fine("waits")


def _early(part: int) -> Send:
    def case(talk: Talk) -> Finding:
        from .ws_wire import encode

        made = host(talk, transports=["websocket"], reconnection=False)
        asked = _asked(made)
        frame = encode(plain(PING, b"early"))
        made.automatic = False
        link = made.switch(asked, behind=frame[: part or len(frame)])
        if part:
            asked.line.send(frame[part:])
        got = made.work(lambda: any(f.payload == b"early" for f in link.frames))
        return fine("read") if got else failed(made.said(), "the early frame was lost")

    return case


def _has_more(line: Line, before: int) -> bool:
    return line.total > before


def _masks(judge: Callable[[list[bytes]], str]) -> Send:
    """Return a case about the masking keys of a hundred frames."""

    def case(talk: Talk) -> Finding:
        made, link = _open(talk)
        keys: list[bytes] = []
        raw: list[bytes] = []
        for number in range(100):
            link.send(plain(PING, b"%d" % number))
            made.talk.check_time()
            line = link.line
            before = line.total
            made.automatic, link.paused = False, True
            made.work(partial(_has_more, line, before))
            raw.append(bytes(line.heard))
            link.paused = False
            link.read()
            keys += [raw[-1][2:6]] if len(raw[-1]) >= 6 and raw[-1][1] >= 0x80 else [b""]
        wrong = judge(keys)
        return (
            failed(f"{[k.hex() for k in keys[:6]]}", wrong) if wrong else fine(f"{len(keys)} keys")
        )

    return case


def _all_masked(keys: list[bytes]) -> str:
    return "" if all(keys) else "a frame was not masked"


def _all_fresh(keys: list[bytes]) -> str:
    return "" if len(set(keys)) == len(keys) and all(keys) else "a key came twice"


def _look_random(keys: list[bytes]) -> str:
    if not all(keys):
        return "a frame was not masked"
    ones = sum(bin(byte).count("1") for key in keys for byte in key)
    share = ones / (len(keys) * 32)
    return "" if 0.4 < share < 0.6 else f"{share:.0%} of the bits are set"


def _accepts(first: str, usual: str = "") -> Send:
    """Return a case whose 101 has to be accepted."""

    def case(talk: Talk) -> Finding:
        from rawsio.websocket.handshake import accept_key

        made = host(talk, transports=["websocket"], reconnection=False)
        made.automatic = False
        asked = _asked(made)
        accept = f"Sec-WebSocket-Accept: {accept_key(asked.get('sec-websocket-key') or '')}\r\n"
        made.raw(asked, (first + (usual or _UP + _CON) + accept + "\r\n").encode())
        link = made.link = Link(asked.line)
        return fine() if still_answers(link, made) else failed(made.said(), "a good 101")

    return case


def _ping(talk: Talk) -> Finding:
    made, link = _open(talk)
    return fine() if still_answers(link, made) else failed(made.said())


def _delivers(*frames: F, text: str, offer: str = "") -> Send:
    """Return a case whose message has to reach the user of the client."""

    def case(talk: Talk) -> Finding:
        made, link = _open(talk)
        link.send(*_dressed(made, frames))
        if _echoes(made):
            good = made.work(lambda: text in made.inbox or text.encode() in made.inbox)
        else:
            good = made.sees("message", args=[text])
        return fine(f"{len(text)} characters") if good else failed(made.said(), "not delivered")

    return case


def _echoes(made: Host) -> bool:
    return not any("EIO" in asked.query for asked in made.requests)


def _dressed(made: Host, frames: tuple[F, ...]) -> list[F]:
    if _echoes(made):
        return list(frames)
    made_frames = list(frames)
    first, last = made_frames[0], made_frames[-1]
    made_frames[0] = plain(TEXT, b'42["message","' + first.payload, fin=first.fin)
    if len(made_frames) == 1:
        made_frames[0] = plain(TEXT, made_frames[0].payload + b'"]')
    else:
        made_frames[-1] = plain(CONTINUATION, last.payload + b'"]', fin=last.fin)
    return made_frames


def _size(size: int) -> Send:
    text = "x" * size
    return _delivers(plain(TEXT, text.encode()), text=text)


def _close(talk: Talk) -> Finding:
    made, link = _open(talk)
    made.automatic = False
    link.send(plain(CLOSE, b"\x03\xe8"))
    if not made.work(lambda: link.over, 3.0):
        return failed(made.said(), "our close was not answered")
    if link.closed is None:
        return failed(made.said(), "ended without a close frame")
    if link.line.ended:
        return lax(made.said(), "the client ends TCP first")
    return fine(f"close {link.closed.code}, waits for our end")


def _deflated(answer: str, *, takeover: bool = True) -> Send:
    """Return a case with deflate agreed: what the client sends has to obey it."""

    def case(talk: Talk) -> Finding:
        made = host(talk, transports=["websocket"], reconnection=False, perMessageDeflate=True)
        asked = _asked(made)
        offered = asked.get("sec-websocket-extensions") or ""
        if "permessage-deflate" not in offered:
            raise NotOffered("the client offers no deflate")
        if "client_max" in answer and "client_max" not in offered:
            raise NotOffered("the client does not offer client_max_window_bits")
        made.switch(asked, f"{_DEFLATE}{answer}\r\n")
        link = made.link
        if link is None:
            raise NotOffered("the client opens no WebSocket")
        stream = compressor(bits=9 if "bits=9" in answer else 15)
        text = (stream.compress(b"6") + stream.flush(SYNC))[:-4]
        link.send(plain(TEXT, text, rsv=4))
        return fine() if still_answers(link, made) else failed(made.said(), "a compressed noop")

    return case


def _no_deflate(talk: Talk) -> Finding:
    made, link = _open(talk, perMessageDeflate=True)
    good = still_answers(link, made)
    compressed = any(frame.rsv & 4 for frame in link.frames)
    return fine() if good and not compressed else failed(made.said(), "declined, but compressed")


_GOOD: list[tuple[object, ...]] = [
    ("request", "the handshake has all fields, version 13", _request),
    ("nonce", "16 bytes, new each time", _nonce),
    ("no-body", "no body", _no_body),
    ("wait", "nothing is sent before the 101", _waits),
    ("early-frame", "a frame in the segment of the 101 is read", _early(0)),
    ("half-frame", "half a frame in it", _early(2)),
    ("mask", "every frame is masked", _masks(_all_masked)),
    ("mask-fresh", "100 frames have different keys", _masks(_all_fresh)),
    ("mask-random", "the keys look random", _masks(_look_random)),
    (
        "case",
        "a 101 in other letters",
        _accepts(_101, "UPGRADE: WebSocket\r\nconnection: upgrade\r\n"),
    ),
    ("reason", "a 101 with another reason", _accepts("HTTP/1.1 101 Go on\r\n")),
    ("ping", "a ping is answered", _ping),
    (
        "fragments",
        "a message in fragments is read",
        _delivers(plain(TEXT, b"hel", fin=False), plain(CONTINUATION, b"lo"), text="hello"),
    ),
    ("close", "a close is answered, and our end awaited", _close),
    ("deflate", "a compressed message is read", _deflated("")),
    ("no-deflate", "a declined offer: it goes on without", _no_deflate),
    ("nct", "server_no_context_takeover", _deflated("; server_no_context_takeover")),
    ("bits", "client_max_window_bits=9", _deflated("; client_max_window_bits=9")),
    ("size-125", "125 bytes", _size(125)),
    ("size-126", "126 bytes", _size(126)),
    ("size-65536", "65536 bytes", _size(65_536)),
]

CASES: list[Case] = [
    *rows("client.ws", "6455-4.1-accept", "CFAIL", CLIENT_JUDGES, [*_HANDSHAKES, *_FRAMES]),
    *rows("client.ws", "6455-4.1-accept", "CFAIL-S", CLIENT_JUDGES, _SOFT),
    *rows("client.ws", "6455-4.1-request", "CPASS", CLIENT_JUDGES, _GOOD),
]
