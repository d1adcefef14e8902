"""``ws.size`` to ``ws.fragment``: frames, right and wrong.

A row is a name, a few words, and the frames.  Data frames are dressed for the target's echo (see
:mod:`rawsio.check.ws_wire`) unless they are ``bare``.
"""

from __future__ import annotations

from .case import Case, Finding, failed, fine, lax, noted, rows
from .ws_judges import STILL, WS_JUDGES, echoes
from .ws_wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Channel,
    F,
    Frames,
    encode,
    open_channel,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .talk import Talk

__all__ = ["CASES"]

_HELLO = b"hello"
_SIZES = (0, 1, 2, 125, 126, 127, 128, 255, 256, 65535, 65536, 65537, 131072)


def _text(size: int) -> F:
    return F(TEXT, (b"0123456789abcdef" * (size // 16 + 1))[:size])


def _binary(size: int) -> F:
    return F(BINARY, (bytes(range(256)) * (size // 256 + 1))[:size])


_SIZE = rows(
    "ws.size",
    "6455-5.2-format",
    "ECHO",
    WS_JUDGES,
    [
        (
            f"{kind}-{size}",
            f"{kind} of {size} bytes",
            Frames([make(size)]),
            *(("whole",) if size > 1000 else ()),
        )
        for size in _SIZES
        for kind, make in (("text", _text), ("binary", _binary))
    ],
)
_SIZE += rows(
    "ws.size",
    "6455-5.2-format",
    "ECHO-L",
    {"ECHO-L": WS_JUDGES["ECHO"]},
    [
        ("text-1000000", "text of 1,000,000 bytes", Frames([_text(1_000_000)])),
        ("binary-1000000", "binary of 1,000,000 bytes", Frames([_binary(1_000_000)])),
    ],
    "whole",
)

_LENGTH = rows(
    "ws.length",
    "6455-5.2-length-minimal",
    "FAIL1002-S",
    WS_JUDGES,
    [
        ("126-for-5", "5 bytes with a length of 16 bits", Frames([F(TEXT, _HELLO, size=16)])),
        ("127-for-5", "5 bytes with 64 bits", Frames([F(TEXT, _HELLO, size=64)])),
        ("126-for-125", "125 bytes with 16 bits", Frames([F(BINARY, b"x" * 125, size=16)])),
        ("127-for-65535", "65535 bytes with 64 bits", Frames([F(BINARY, b"x" * 65535, size=64)])),
        ("126-for-0", "no bytes with 16 bits", Frames([F(BINARY, b"", size=16)])),
        ("ping-126-for-5", "a ping of 5 with 16 bits", Frames([F(PING, _HELLO, size=16)])),
    ],
)
_LENGTH += rows(
    "ws.length",
    "6455-5.2-length-top-bit",
    "FAIL1002",
    WS_JUDGES,
    [
        (
            "top-bit",
            "64 bits with the top bit set",
            Frames([F(BINARY, b"", size=64, claim=1 << 63)]),
            "open",
        )
    ],
)
_LENGTH += rows(
    "ws.length",
    "6455-10.4-message",
    "FAIL1009-S",
    WS_JUDGES,
    [
        (
            "2-62",
            "2**62, refused at the header",
            Frames([F(BINARY, b"", size=64, claim=1 << 62)]),
            "open",
        ),
        ("2-31", "2**31", Frames([F(BINARY, b"", size=64, claim=1 << 31)]), "open"),
    ],
)

_MASK = rows(
    "ws.mask",
    "6455-5.1-mask",
    "FAIL1002",
    WS_JUDGES,
    [
        ("text", "text without a mask", Frames([F(TEXT, _HELLO, key=None)])),
        ("binary", "binary without a mask", Frames([F(BINARY, _HELLO, key=None)])),
        ("ping", "a ping without a mask", Frames([F(PING, _HELLO, key=None)])),
        ("close", "a close without a mask", Frames([F(CLOSE, b"\x03\xe8", key=None)])),
        (
            "continuation",
            "a second fragment without a mask",
            Frames([F(TEXT, b"hel", fin=False), F(CONTINUATION, b"lo", key=None)]),
        ),
        ("empty", "an empty frame without a mask", Frames([F(BINARY, b"", key=None)])),
    ],
)


def _fresh_keys(talk: Talk) -> Finding:
    channel = open_channel(talk)
    channel.need_echo()
    frames = [F(TEXT, b"%d" % number, key=talk.bytes(4)) for number in range(1000)]
    channel.wire.send(channel.dress(frames))
    return echoes(channel, [(TEXT, frame.payload) for frame in frames])


_MASK += rows(
    "ws.mask",
    "6455-5.3-algorithm",
    "ECHO",
    WS_JUDGES,
    [
        ("key-zero", "the key 00000000", Frames([F(TEXT, _HELLO, key=bytes(4))])),
        ("key-ff", "the key FFFFFFFF", Frames([F(TEXT, _HELLO, key=b"\xff" * 4)])),
        ("key-same", "the same key twice", Frames([F(TEXT, _HELLO), F(TEXT, b"again")])),
        (
            "offset",
            "fragments of 1, 2, 3, 5: the mask starts anew in each frame",
            Frames(
                [
                    F(TEXT, b"a", fin=False),
                    F(0, b"bc", fin=False),
                    F(0, b"def", fin=False),
                    F(0, b"ghijk"),
                ]
            ),
        ),
    ],
)
_MASK += rows(
    "ws.mask",
    "6455-5.3-algorithm",
    "STEP",
    WS_JUDGES,
    [("key-each", "1,000 frames with fresh keys", _fresh_keys)],
)


def _with_rsv(rsv: int) -> list[tuple[str, Frames]]:
    return [
        ("text", Frames([F(TEXT, _HELLO, rsv=rsv)])),
        ("ping", Frames([F(PING, _HELLO, rsv=rsv)])),
        ("close", Frames([F(CLOSE, b"\x03\xe8", rsv=rsv)])),
        ("continuation", Frames([F(TEXT, b"hel", fin=False), F(CONTINUATION, b"lo", rsv=rsv)])),
    ]


_BITS = (("1", 4), ("2", 2), ("3", 1), ("12", 6), ("13", 5), ("23", 3), ("123", 7))
_RSV = [
    case
    for bits, rsv in _BITS
    for case in rows(
        "ws.rsv",
        "6455-5.2-rsv1" if rsv == 4 else "6455-5.2-rsv",
        "FAIL1002*",
        WS_JUDGES,
        [
            (f"rsv{bits}-{kind}", f"{kind} with RSV{bits}, no extension", frames)
            for kind, frames in _with_rsv(rsv)
        ],
    )
]


def _opcodes() -> list[tuple[str, str, Frames]]:
    found = []
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        data = [F(opcode, _HELLO)]
        inside = ""
        if opcode < 8:
            data, inside = [F(TEXT, b"hel", fin=False), *data], ", inside a message"
        found.append((f"{opcode}-empty", f"opcode {opcode}, no payload", Frames([F(opcode)])))
        found.append((f"{opcode}-data", f"opcode {opcode}, 5 bytes{inside}", Frames(data)))
    return found


_OPCODE = rows("ws.opcode", "6455-5.2-opcode", "FAIL1002*", WS_JUDGES, _opcodes())

_PING = rows(
    "ws.ping",
    "6455-5.5.2-pong",
    "PONG",
    WS_JUDGES,
    [
        ("empty", "no data", Frames([F(PING)])),
        ("text", "hello", Frames([F(PING, _HELLO)])),
        ("125", "125 bytes", Frames([F(PING, b"x" * 125)])),
        ("binary", "bytes 00 FF FE", Frames([F(PING, b"\x00\xff\xfe")])),
        ("ten", "ten pings: the order is kept", Frames([F(PING, b"%d" % n) for n in range(10)])),
        (
            "between",
            "between fragments",
            Frames([F(TEXT, b"hel", fin=False), F(PING, b"p"), F(CONTINUATION, b"lo")]),
        ),
        ("bytewise", "one byte a segment", Frames([F(PING, _HELLO)]), "bytewise"),
    ],
)


def _ping_behind_close(talk: Talk) -> Finding:
    channel = open_channel(talk)
    channel.wire.send(encode(F(CLOSE, b"\x03\xe8")) + encode(F(PING, b"late")))
    channel.wire.until_end()
    while channel.next(0.0) is not None:
        continue
    if any(frame.opcode == PONG for frame in channel.frames):
        return failed(channel.said(), "a pong behind our close frame")
    return fine(channel.said())


def _flood(channel: Channel, frame: bytes) -> None:
    """Send a frame 10,000 times, and a ping; a heartbeat of the server is answered meanwhile."""
    for _ in range(10):
        channel.wire.send(frame * 1000, stop=channel.closed)
        while channel.manner in ("engine", "socket") and channel.next(0.0) is not None:
            continue
    channel.wire.send(encode(F(PING, STILL)))
    channel.read_until_closed(5.0, stop=STILL)


def _ping_flood(talk: Talk) -> Finding:
    channel = open_channel(talk)
    _flood(channel, encode(F(PING, b"x" * 100)))
    count = sum(frame.opcode == PONG for frame in channel.frames)
    if channel.close_frame is None and not count:
        return failed(channel.said(), "no pong at all")
    return fine(f"{count} pongs for 10,001 pings; {channel.said()[-60:]}")


def _pong_flood(talk: Talk) -> Finding:
    channel = open_channel(talk)
    _flood(channel, encode(F(PONG, b"x")))
    said = [frame.payload for frame in channel.frames if frame.opcode == PONG]
    if said == [STILL]:
        return fine("10,000 pongs are ignored")
    return lax(channel.said()) if channel.close_frame else failed(channel.said())


_PING += rows(
    "ws.ping",
    "6455-5.5.2-pong",
    "STEP",
    WS_JUDGES,
    [("after-close", "a ping behind our close is not answered", _ping_behind_close)],
)
_PING += rows(
    "ws.ping",
    "6455-5.5-control-length",
    "FAIL1002*",
    WS_JUDGES,
    [("126", "126 bytes", Frames([F(PING, b"x" * 126)]))],
)
_PING += rows(
    "ws.ping",
    "6455-5.5-control-fragmented",
    "FAIL1002*",
    WS_JUDGES,
    [("fragmented", "a ping without FIN", Frames([F(PING, _HELLO, fin=False)]))],
)
_PING += rows(
    "ws.ping",
    "6455-5.5.3-latest",
    "LIM",
    WS_JUDGES,
    [("flood", "10,000 pings, answers not read", _ping_flood)],
)

_PONG = rows(
    "ws.pong",
    "6455-5.5.3-unsolicited",
    "SILENT",
    WS_JUDGES,
    [
        ("empty", "a pong that nobody asked for", Frames([F(PONG)])),
        ("data", "with data", Frames([F(PONG, _HELLO)])),
        (
            "then-ping",
            "then a ping: that one is answered",
            Frames([F(PONG, _HELLO), F(PING, b"p")]),
        ),
    ],
)
_PONG += rows(
    "ws.pong",
    "6455-5.5.3-unsolicited",
    "STEP",
    WS_JUDGES,
    [("flood", "10,000 pongs", _pong_flood)],
)
_PONG += rows(
    "ws.pong",
    "6455-5.5-control-length",
    "FAIL1002*",
    WS_JUDGES,
    [("126", "126 bytes", Frames([F(PONG, b"x" * 126)]))],
)
_PONG += rows(
    "ws.pong",
    "6455-5.5-control-fragmented",
    "FAIL1002*",
    WS_JUDGES,
    [("fragmented", "a pong without FIN", Frames([F(PONG, _HELLO, fin=False)]))],
)


def _pieces(opcode: int, *parts: bytes, between: int | None = None) -> Frames:
    """Return a message in fragments, perhaps with a control frame between any two."""
    made: list[F] = []
    for index, part in enumerate(parts):
        if made and between is not None:
            made.append(F(between, b"between"))
        made.append(F(CONTINUATION if index else opcode, part, fin=index == len(parts) - 1))
    return Frames(made)


_HUNDRED = [b"%d" % (n % 10) for n in range(100)]
_FRAGMENT = rows(
    "ws.fragment",
    "6455-5.4-fragments",
    "ECHO",
    WS_JUDGES,
    [
        ("two", "text in two", _pieces(TEXT, b"hel", b"lo")),
        ("three-binary", "binary in three", _pieces(BINARY, b"\0", b"\xff\xfe", b"\1")),
        ("empty-first", "the first is empty", _pieces(TEXT, b"", b"hello")),
        ("empty-middle", "an empty one in the middle", _pieces(TEXT, b"hel", b"", b"lo")),
        ("empty-last", "the last is empty", _pieces(TEXT, b"hello", b"")),
        ("all-empty", "three empty ones: an empty message", _pieces(BINARY, b"", b"", b"")),
        ("bytes", "100 fragments of one byte", _pieces(TEXT, *_HUNDRED)),
        ("ping-between", "a ping between", _pieces(TEXT, b"hel", b"lo", between=PING)),
        ("pong-between", "a pong between", _pieces(TEXT, b"hel", b"lo", between=PONG)),
        ("many-pings", "a ping between each of ten", _pieces(TEXT, *_HUNDRED[:10], between=PING)),
        ("1000", "1,000 fragments", _pieces(BINARY, *(_HUNDRED * 10)), "whole"),
    ],
)
_FRAGMENT += rows(
    "ws.fragment",
    "6455-5.4-interleaved",
    "FAIL1002*",
    WS_JUDGES,
    [
        (
            "text-in-text",
            "a text frame inside a message",
            Frames([F(TEXT, b"hel", fin=False), F(TEXT, b"x"), F(CONTINUATION, b"lo")]),
        ),
        (
            "binary-in-text",
            "a binary frame inside a text message",
            Frames([F(TEXT, b"hel", fin=False), F(BINARY, b"x"), F(CONTINUATION, b"lo")]),
        ),
        (
            "continuation-alone",
            "a continuation of nothing",
            Frames([F(CONTINUATION, _HELLO, fin=False)]),
        ),
        ("continuation-alone-fin", "the same, with FIN", Frames([F(CONTINUATION, _HELLO)])),
        (
            "continuation-after",
            "a continuation behind a finished message",
            Frames([*_pieces(BINARY, b"goo", b"d"), F(CONTINUATION, _HELLO)]),
            "more",
        ),
        ("restart", "two starts", Frames([F(TEXT, b"hel", fin=False), F(TEXT, b"lo", fin=False)])),
    ],
)
_FRAGMENT += rows(
    "ws.fragment",
    "6455-5.5.1-answer",
    "CLOSE1000",
    WS_JUDGES,
    [
        (
            "close-between",
            "a close between fragments: closed, no echo",
            Frames([F(TEXT, b"hel", fin=False), F(CLOSE, b"\x03\xe8"), F(CONTINUATION, b"lo")]),
        )
    ],
)


def _many_fragments(talk: Talk) -> Finding:
    channel = open_channel(talk)
    piece = encode(F(CONTINUATION, b"x" * 64, fin=False))
    start = channel.dress([F(BINARY, b"x" * 64, fin=False)])
    end = encode(F(CONTINUATION, b"x" * 64))
    channel.wire.send(start + piece * 65_534 + end + encode(F(PING, STILL)))
    channel.read_until_closed(10.0, stop=STILL)
    closed = channel.close_frame
    if closed is not None:
        return (
            fine(f"closed with {closed.code}")
            if closed.code in (1008, 1009)
            else lax(channel.said())
        )
    if channel.messages():
        return lax("4 MiB in 65,536 fragments are taken")
    return failed(channel.said()) if not channel.wire.ended else lax(channel.said())


def _unfinished(talk: Talk) -> Finding:
    channel = open_channel(talk)
    channel.wire.send(channel.dress([F(TEXT, b"hel", fin=False)]))
    open_channel(talk)  # raises Refused where nobody else is served meanwhile
    began = talk.time()
    while talk.time() - began < 120.0 and not channel.wire.ended:
        frame = channel.next(1.0)
        if frame is not None and frame.opcode == PING:
            channel.wire.send(encode(F(PONG, frame.payload)))
        if frame is not None and frame.opcode == CLOSE:
            return fine(f"{channel.said()} after {talk.time() - began:.0f} s")
    took = talk.time() - began
    return (
        fine(f"ended after {took:.0f} s") if channel.wire.ended else noted(f"open for {took:.0f} s")
    )


_FRAGMENT += rows(
    "ws.fragment",
    "6455-10.4-fragments",
    "LIM",
    WS_JUDGES,
    [("65536", "4 MiB in 65,536 fragments", _many_fragments, "limit", "serial")],
)
_FRAGMENT += rows(
    "ws.fragment",
    "6455-10.4-finite",
    "TIME",
    WS_JUDGES,
    [("unfinished", "a first fragment, then silence", _unfinished, "slow")],
)

CASES: list[Case] = [
    *_SIZE,
    *_LENGTH,
    *_MASK,
    *_RSV,
    *_OPCODE,
    *_PING,
    *_PONG,
    *_FRAGMENT,
]
