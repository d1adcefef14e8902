"""``ws.deflate``: permessage-deflate, as agreed and as abused.

The answers to offers are judged by our own client (:func:`rawsio.websocket.handshake.confirm`);
compressed messages are made with ``zlib`` where they have to be right, and byte by byte where not.
The group is UNIMPLEMENTED where a plain offer is not accepted.
"""

from __future__ import annotations

from functools import cache

from rawsio.errors import RemoteProtocolError

from .case import Case, Finding, NotOffered, failed, fine, lax, rows
from .talk import MOST_HEARD
from .ws_deflated import FINISH, NAME, SYNC, Deflated, compressor, shake
from .ws_judges import STILL, WS_JUDGES, judge_end
from .ws_wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    F,
    Refused,
    encode,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .case import Judge, Send
    from .talk import Talk

    Step = Callable[["Deflated"], Finding]

__all__ = ["CASES"]


def _with(step: Step, offer: str = NAME) -> Callable[[Talk], Finding]:
    """Return a case on a connection with this offer agreed."""

    def case(talk: Talk) -> Finding:
        channel, agreed, wrong = shake(talk, offer)
        if channel is None:
            raise Refused(wrong)
        if agreed is None:
            raise NotOffered(f"declined: {offer}")
        try:
            return step(Deflated(channel, agreed))
        except RemoteProtocolError as error:
            return failed(str(error), "what came back cannot be inflated")

    return case


def _compare(
    found: list[tuple[int, bytes]], wanted: Sequence[tuple[int, bytes]], said: str
) -> Finding:
    if found == list(wanted):
        return fine(f"{len(found)} messages came back")
    same = sum(got == want for got, want in zip(found, wanted, strict=False))
    return failed(said, f"{same} of {len(wanted)} messages came back as they were")


# Negotiation

_TEXT = b"the quick brown fox jumps over the lazy dog " * 40


def _negotiated(offer: str) -> Callable[[Talk], Finding]:
    """Return a case whose offer may be granted or declined, and is obeyed if granted."""

    def case(talk: Talk) -> Finding:
        channel, agreed, wrong = shake(talk, offer)
        if channel is None:
            return failed(wrong, "an answer that a client must refuse")
        if agreed is None:
            return lax("declined", "the offer was declined")
        if not channel.manner:
            return fine("agreed; nothing comes back here that could show whether it is obeyed")
        wire = Deflated(channel, agreed)
        messages = [(TEXT, _TEXT), (TEXT, _TEXT[::-1]), (TEXT, _TEXT)]
        for opcode, payload in messages:
            wire.send(opcode, payload)
        try:
            found = wire.receive(len(messages))
        except RemoteProtocolError as error:
            return failed(str(error), "what was agreed is not obeyed")
        return _compare(found, messages, channel.said())

    return case


def _declined(offer: str) -> Send:
    """Return a case whose offer has to be declined: 101 without the extension."""

    def case(talk: Talk) -> Finding:
        channel, agreed, wrong = shake(talk, offer)
        if agreed is not None or (channel is None and "101" in wrong):
            return failed("accepted", "an offer that has to be declined")
        if channel is None:
            refused = wrong.startswith("[4")
            return lax(wrong, "refused as a whole") if refused else failed(wrong)
        return fine("declined")

    return case


_OFFERS = rows(
    "ws.deflate",
    "7692-7.1-answer",
    "DNEG",
    WS_JUDGES,
    [
        (name, offer, _negotiated(offer))
        for name, offer in (
            ("plain", NAME),
            ("snct", f"{NAME}; server_no_context_takeover"),
            ("cnct", f"{NAME}; client_no_context_takeover"),
            ("both-nct", f"{NAME}; server_no_context_takeover; client_no_context_takeover"),
            ("cmwb", f"{NAME}; client_max_window_bits"),
            ("cmwb-9", f"{NAME}; client_max_window_bits=9"),
            ("cmwb-15", f"{NAME}; client_max_window_bits=15"),
            ("smwb-9", f"{NAME}; server_max_window_bits=9"),
            ("smwb-8", f"{NAME}; server_max_window_bits=8"),
            ("smwb-15", f"{NAME}; server_max_window_bits=15"),
            ("quoted", f'{NAME}; server_max_window_bits="10"'),
            ("other-first", f"x-foo, {NAME}"),
        )
    ],
)


def _fallback(talk: Talk) -> Finding:
    """Offer something to be declined, then something acceptable."""
    channel, _agreed, wrong = shake(talk, _SECOND)
    if channel is None and wrong.startswith("[4"):
        return lax(wrong, "refused as a whole")
    return _negotiated(_SECOND)(talk)


_SECOND = f"{NAME}; foo, {NAME}"
_OFFERS += rows(
    "ws.deflate", "7692-7.1-answer", "DNEG-S", WS_JUDGES, [("fallback", _SECOND, _fallback)]
)


def _first_wins(talk: Talk) -> Finding:
    channel, agreed, wrong = shake(talk, f"{NAME}; server_max_window_bits=9, {NAME}")
    if channel is None and "not granted" not in wrong:
        return failed(wrong)
    if agreed is not None and agreed.server_max_window_bits <= 9:
        return fine("the first offer was taken")
    return lax(wrong or "declined", "the second offer was taken")


def _no_cmwb(talk: Talk) -> Finding:
    channel, _agreed, wrong = shake(talk, NAME)
    if channel is None:
        return failed(wrong)
    said = channel.answer.get("sec-websocket-extensions") or ""
    if "client_max_window_bits" in said:
        return failed(said, "client_max_window_bits was not offered")
    return fine(said)


_OFFERS += rows(
    "ws.deflate",
    "7692-7.1-answer",
    "DNEG",
    WS_JUDGES,
    [
        ("two-offers", "the first with 9, the second plain: the first wins", _first_wins),
        ("no-cmwb", "client_max_window_bits is not answered if it is not offered", _no_cmwb),
    ],
)
_OFFERS += rows(
    "ws.deflate",
    "7692-7.1-decline",
    "DDECL",
    WS_JUDGES,
    [
        (name, parameter, _declined(f"{NAME}; {parameter}"))
        for name, parameter in (
            ("unknown-param", "foo"),
            ("dup-param", "server_no_context_takeover; server_no_context_takeover"),
            ("smwb-7", "server_max_window_bits=7"),
            ("smwb-16", "server_max_window_bits=16"),
            ("smwb-08", "server_max_window_bits=08"),
            ("smwb-none", "server_max_window_bits"),
            ("smwb-x", "server_max_window_bits=x"),
            ("cmwb-0", "client_max_window_bits=0"),
            ("nct-value", "server_no_context_takeover=1"),
            ("smwb-plus", "server_max_window_bits=+9"),
        )
    ],
)

# Messages


def _raw(*payloads: bytes, wanted: bytes | None = None, opcode: int = BINARY) -> Step:
    """Return a step that sends compressed payloads as they are and wants the message back."""

    def step(wire: Deflated) -> Finding:
        for payload in payloads:
            wire.send_raw(payload, opcode=opcode)
        text = b"Hello" if wanted is None else wanted
        found = wire.receive(len(payloads))
        return _compare(found, [(opcode, text)] * len(payloads), wire.channel.said())

    return step


def _deflate(data: bytes, flush: int = SYNC, known: bytes = b"") -> bytes:
    stream = compressor(known=known)
    made = stream.compress(data) + stream.flush(flush)
    return bytes(made[:-4] if flush == SYNC else made)


_HELLO, _FINAL = bytes.fromhex("f248cdc9c90700"), bytes.fromhex("f348cdc9c90700")


def _shared(wire: Deflated) -> Finding:
    if wire.agreed.client_no_context_takeover:
        raise NotOffered("the server wants no context of ours")
    return _raw(_HELLO, bytes.fromhex("f200110000"))(wire)


def _two_blocks(wire: Deflated) -> Finding:
    stream = compressor()
    data = stream.compress(b"He") + stream.flush(SYNC)
    data += stream.compress(b"llo") + stream.flush(SYNC)
    return _raw(data[:-4])(wire)


def _fragmented(wire: Deflated, between: bytes = b"") -> Finding:
    parts = _HELLO[:3], _HELLO[3:5], _HELLO[5:]
    data = [
        encode(F(BINARY, parts[0], rsv=4, fin=False)),
        encode(F(CONTINUATION, parts[1], fin=False)),
    ]
    wire.announce(BINARY)
    wire.channel.wire.send(between.join([*data, encode(F(CONTINUATION, parts[2]))]))
    return _compare(wire.receive(), [(BINARY, b"Hello")], wire.channel.said())


def _ping_between(wire: Deflated) -> Finding:
    return _fragmented(wire, encode(F(PING, b"p")))


def _uncompressed(wire: Deflated) -> Finding:
    wire.announce(BINARY)
    wire.channel.wire.send(encode(F(BINARY, b"Hello")))
    return _compare(wire.receive(), [(BINARY, b"Hello")], wire.channel.said())


def _sent(*messages: tuple[int, bytes], plain: Sequence[int] = ()) -> Step:
    """Return a step that sends messages as agreed, those at ``plain`` uncompressed."""

    def step(wire: Deflated) -> Finding:
        for index, (opcode, payload) in enumerate(messages):
            if index in plain:
                wire.announce(opcode)
                text = wire.dressed(payload) if opcode == TEXT else payload
                wire.channel.wire.send(encode(F(opcode, text)))
            else:
                wire.send(opcode, payload)
        return _compare(wire.receive(len(messages)), messages, wire.channel.said())

    return step


def _noise(wire: Deflated) -> Finding:
    return _sent((BINARY, wire.channel.talk.bytes(65536)))(wire)


def _alike(wire: Deflated) -> Finding:
    finding = _sent(*[(TEXT, _TEXT)] * 100)(wire)
    sizes = wire.sizes[-100:]
    if finding.verdict == "OK" and sizes and sizes[-1] > sizes[0]:
        return lax(f"{sizes[0]} bytes, later {sizes[-1]}", "later messages are longer")
    return finding


_WIDE = b"".join(b"%08d" % (n * 7919) for n in range(4096))


def _final_window(wire: Deflated) -> Finding:
    if wire.agreed.client_no_context_takeover:
        raise NotOffered("the server wants no context of ours")
    text = b"remember these words"
    first = _deflate(text, FINISH) + b"\x00"
    return _raw(first, _deflate(text, known=text), wanted=text)(wire)


def _takeover(wire: Deflated) -> Finding:
    if wire.agreed.client_no_context_takeover:
        raise NotOffered("the server wants no context of ours")
    text = wire.channel.talk.bytes(200)
    for _ in range(2):
        wire.send(BINARY, text)
    return _compare(wire.receive(2), [(BINARY, text)] * 2, wire.channel.said())


_MESSAGES: list[tuple[str, str, Send]] = [
    ("hello", "the sample of RFC 7692", _with(_raw(_HELLO))),
    ("hello-shared", "again, with the context of before", _with(_shared)),
    ("stored", "a block of type 0", _with(_raw(b"\x00\x05\x00\xfa\xffHello\x00"))),
    ("bfinal", "BFINAL set", _with(_raw(_FINAL + b"\x00"))),
    ("two-blocks", "two blocks", _with(_two_blocks)),
    ("empty", "one byte 00", _with(_raw(b"\x00", wanted=b""))),
    ("empty-stored", "02 00", _with(_raw(b"\x02\x00", wanted=b""))),
    ("fragmented", "three fragments, RSV1 on the first", _with(_fragmented)),
    ("ping-between", "a ping between the fragments", _with(_ping_between)),
    ("uncompressed", "RSV1 clear", _with(_uncompressed)),
    (
        "alternating",
        "compressed and not, by turns",
        _with(_sent(*[(TEXT, _TEXT)] * 6, plain=[1, 3, 5])),
    ),
    ("incompressible", "64 KiB of noise", _with(_noise)),
    ("text-utf8", "text beyond ASCII", _with(_sent((TEXT, "héllo wörld ".encode() * 100)))),
    ("binary", "a binary message", _with(_sent((BINARY, bytes(range(256)) * 8)))),
    ("context-100", "100 messages alike: later ones are not longer", _with(_alike)),
    (
        "bits-9",
        "32 KiB with a window of 9 bits",
        _with(_sent((TEXT, _WIDE)), f"{NAME}; server_max_window_bits=9"),
    ),
    ("final-window", "a message behind BFINAL uses the window", _with(_final_window)),
]


def _fails(
    code: int, *frames: F, lenient: str = "", offer: str = NAME, open_: bool = False
) -> Send:
    """Return a case whose frames have to end the connection with this code."""

    def step(wire: Deflated) -> Finding:
        channel = wire.channel
        data = b"".join(map(encode, frames)) + (b"" if open_ else encode(F(PING, STILL)))
        wire.announce(frames[0].opcode)
        channel.wire.send(data, stop=channel.closed)
        expect = f"FAIL{code}{lenient}"
        return judge_end(channel, Case("", "", "", expect, "", b"", _nobody), code, [])

    return _with(step, offer)


def _nobody(_talk: Talk, _case: Case) -> Finding:
    raise NotImplementedError


def _bomb(*, fragments: int) -> Send:
    def case(talk: Talk) -> Finding:
        data = _compressed_zeros()  # first, for the target's heartbeat does not wait

        def step(wire: Deflated) -> Finding:
            return _explode(wire, data, fragments)

        return _with(step)(talk)

    return case


def _explode(wire: Deflated, data: bytes, fragments: int) -> Finding:
    wire.announce(BINARY)
    size = len(data) // fragments + 1
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    frames = [
        F(CONTINUATION if n else BINARY, p, rsv=0 if n else 4, fin=n == len(pieces) - 1)
        for n, p in enumerate(pieces)
    ]
    frames.append(F(PING, STILL))
    wire.channel.wire.send(b"".join(map(encode, frames)), stop=wire.channel.closed)
    nobody = Case("", "", "", "FAIL1009-S", "", b"", _nobody)
    wire.channel.read_until_closed(_LONG, stop=STILL)
    return judge_end(wire.channel, nobody, 1009, [])


_LONG = 10.0
"""Seconds that a peer may be busy with a bomb which it takes."""


@cache
def _compressed_zeros() -> bytes:
    stream = compressor(9)
    parts = [stream.compress(bytes(1 << 20)) for _ in range(64)]
    return b"".join(parts) + bytes(stream.flush(SYNC)[:-4])


def _inflated_limit(wire: Deflated) -> Finding:
    size = 1 << 16
    wire.channel.talk.most_heard = 4 * MOST_HEARD  # peers may send all of it back
    wire.channel.talk.patience = max(wire.channel.talk.patience, _LONG)
    while size <= 1 << 26:
        wire.send_raw(_deflate(bytes(size)))
        if not wire.receive():
            closed = wire.channel.close_frame
            if closed is not None and closed.code == 1009:
                return fine(f"{size} inflated bytes: close 1009")
            if closed is not None or wire.channel.wire.ended:
                return lax(wire.channel.said(), "1009 is the code for this")
            return failed(wire.channel.said(), "neither an echo nor an end")
        size *= 2
    return lax("no limit up to 64 MiB")


def _dropped(wire: Deflated) -> Finding:
    text = b"remember these words"
    wire.send_raw(_deflate(text))
    wire.channel.wire.send(
        encode(F(BINARY, _deflate(text, known=text), rsv=4)) + encode(F(PING, STILL))
    )
    found = wire.receive()
    if found != [(BINARY, text)]:
        if wire.channel.close_frame is None and not wire.channel.wire.ended:
            return failed(wire.channel.said(), "the first message has to come back")
        return lax(wire.channel.said(), "the good message before it was not echoed")
    if not wire.agreed.client_no_context_takeover:
        raise NotOffered("client_no_context_takeover was not granted")
    wire.channel.frames.clear()
    nobody = Case("", "", "", "FAIL1007-W", "", b"", _nobody)
    return judge_end(wire.channel, nobody, 1007, [])


_STREAM = "7692-7.2.2-malformed"
_WRONG: list[tuple[str, str, str, str, Send]] = [
    (
        "rsv1-ping",
        "RSV1 on a ping",
        "7692-6-rsv1-control",
        "FAIL1002",
        _fails(1002, F(PING, b"p", rsv=4)),
    ),
    (
        "rsv1-close",
        "RSV1 on a close",
        "7692-6-rsv1-control",
        "FAIL1002",
        _fails(1002, F(CLOSE, b"\x03\xe8", rsv=4)),
    ),
    (
        "rsv1-continuation",
        "RSV1 on a continuation",
        "7692-6-rsv1-control",
        "FAIL1002",
        _fails(1002, F(BINARY, _HELLO[:3], rsv=4, fin=False), F(CONTINUATION, _HELLO[3:], rsv=4)),
    ),
    ("rsv2", "RSV2", "7692-6-rsv1-control", "FAIL1002", _fails(1002, F(BINARY, b"x", rsv=2))),
    ("garbage", "FF FF FF", _STREAM, "FAIL1007-W", _fails(1007, F(BINARY, b"\xff\xff\xff", rsv=4))),
    (
        "bad-block-type",
        "a block of type 3",
        _STREAM,
        "FAIL1007-W",
        _fails(1007, F(BINARY, b"\x06\x00", rsv=4)),
    ),
    (
        "bad-stored-length",
        "LEN and NLEN differ",
        _STREAM,
        "FAIL1007-W",
        _fails(1007, F(BINARY, b"\x00\x05\x00\xfa\xfeHello\x00", rsv=4)),
    ),
    (
        "distance-too-far",
        "a distance beyond the window",
        _STREAM,
        "FAIL1007-W",
        _fails(1007, F(BINARY, bytes.fromhex("f200110000"), rsv=4)),
    ),
    # RFC 7692 does not say what becomes of these two: the receiver's zlib ends early.
    (
        "truncated",
        "ends inside a block",
        _STREAM,
        "FAIL1007-S",
        _fails(1007, F(BINARY, _HELLO[:3], rsv=4), lenient="-S"),
    ),
    (
        "trailing",
        "bytes behind BFINAL",
        _STREAM,
        "FAIL1007-S",
        _fails(1007, F(BINARY, _FINAL + b"\xff\xff\xff", rsv=4), lenient="-S"),
    ),
    (
        "utf8",
        "inflates to bad UTF-8",
        "6455-8.1-utf8",
        "FAIL1007",
        _fails(1007, F(TEXT, bytes.fromhex("3249cfcf4ff90f00"), rsv=4)),
    ),
    (
        "bomb",
        "64 KiB that inflate to 64 MiB",
        "6455-10.4-message",
        "FAIL1009-S",
        _bomb(fragments=1),
    ),
    (
        "bomb-ping",
        "the bomb in 1,000 fragments",
        "6455-10.4-message",
        "FAIL1009-S",
        _bomb(fragments=1000),
    ),
    (
        "limit-inflated",
        "it is the inflated size that counts",
        "6455-10.4-message",
        "LIM",
        _with(_inflated_limit),
    ),
    (
        "takeover-kept",
        "needs the window of the message before",
        "7692-7.2.3.2-takeover",
        "ECHO",
        _with(_takeover),
    ),
    (
        "takeover-dropped",
        "a reference to data that the context no longer has",
        "7692-7.1.1.2-client-obeys",
        "FAIL1007-W",
        _with(_dropped, f"{NAME}; client_no_context_takeover"),
    ),
]

_STEPS: dict[str, Judge] = dict.fromkeys(
    ("ECHO", "FAIL1002", "FAIL1007", "FAIL1009", "LIM"), WS_JUDGES["STEP"]
)
CASES: list[Case] = [
    *_OFFERS,
    *rows("ws.deflate", "7692-7.2.2-inflate", "ECHO", _STEPS, _MESSAGES),
    *(
        case
        for name, text, rule, expect, send in _WRONG
        for case in rows("ws.deflate", rule, expect, _STEPS, [(name, text, send)])
    ),
]
