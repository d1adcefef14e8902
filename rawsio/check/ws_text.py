"""``ws.utf8`` and ``ws.close``: text that is UTF-8 and text that is not; the closing handshake.

UTF-8 is spelled in hexadecimal digits, so that an editor cannot mend what has to be wrong.
"""

from __future__ import annotations

from .case import Case, Finding, failed, fine, lax, rows
from .ws_judges import WS_JUDGES, judge_close
from .ws_wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, F, Frames, encode, open_channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .talk import Talk

__all__ = ["CASES"]

_GOOD = {
    "ascii": "68656c6c6f",
    "2byte": "c2a2",
    "2byte-last": "dfbf",
    "3byte-first": "e0a080",
    "3byte": "e282ac",
    "before-surrogates": "ed9fbf",
    "after-surrogates": "ee8080",
    "noncharacter": "efbfbf",
    "bom": "efbbbf",
    "4byte-first": "f0908080",
    "4byte": "f09f9880",
    "last": "f48fbfbf",
    "nul": "00",
    "greek": "cebacf8ccf83cebcceb5",
}
_BAD = {
    "cont-alone": "80",
    "cont-bf": "bf",
    "c0": "c080",
    "c1": "c1bf",
    "overlong-3": "e08080",
    "overlong-3-last": "e09fbf",
    "overlong-4": "f0808080",
    "overlong-4-last": "f08fbfbf",
    "surrogate-first": "eda080",
    "surrogate-last": "edbfbf",
    "pair": "eda18cedbeb4",
    "beyond": "f4908080",
    "f5": "f5808080",
    "f8-5byte": "f888808080",
    "fc-6byte": "fc8480808080",
    "fe": "fe",
    "ff": "ff",
    "latin1": "e4",
    "2-then-ascii": "c328",
    "3-then-ascii": "e228a1",
    "3-third-ascii": "e28228",
    "4-second": "f0288cbc",
    "4-third": "f09028bc",
    "4-fourth": "f0288c28",
}


def _whole_and_bytes(data: bytes) -> Frames:
    """Return the text as one frame, and again with each byte in a fragment of its own."""
    last = len(data) - 1
    pieces = [
        F(CONTINUATION if index else TEXT, data[index : index + 1], fin=index == last)
        for index in range(len(data))
    ]
    return Frames([F(TEXT, data), *pieces])


_UTF8 = rows(
    "ws.utf8",
    "6455-8.1-utf8",
    "ECHO",
    WS_JUDGES,
    [
        (
            f"good-{name}",
            f"{digits}, whole and in fragments of one byte",
            _whole_and_bytes(bytes.fromhex(digits)),
        )
        for name, digits in _GOOD.items()
    ],
)
_UTF8 += rows(
    "ws.utf8",
    "6455-8.1-utf8",
    "FAIL1007",
    WS_JUDGES,
    [
        *(
            (
                f"bad-{name}",
                f"{digits} between good text",
                Frames([F(TEXT, b"good" + bytes.fromhex(digits) + b"text")]),
            )
            for name, digits in _BAD.items()
        ),
        ("cut-2", "the message ends behind C3", Frames([F(TEXT, b"good\xc3")])),
        ("cut-3", "behind E2 82", Frames([F(TEXT, b"good\xe2\x82")])),
        ("cut-4", "behind F0 9F 98", Frames([F(TEXT, b"good\xf0\x9f\x98")])),
        (
            "bad-second-fragment",
            "a good fragment, then a bad one",
            Frames([F(TEXT, b"good", fin=False), F(CONTINUATION, b"\xff")]),
        ),
    ],
)
_UTF8 += rows(
    "ws.utf8",
    "6455-8.1-utf8",
    "FAST1007",
    WS_JUDGES,
    [
        (
            f"bad-{name}-fragment",
            f"{digits} in the first fragment, the last never sent",
            Frames([F(TEXT, b"good" + bytes.fromhex(digits) + b"text", fin=False)]),
        )
        for name, digits in _BAD.items()
    ],
)
_UTF8 += rows(
    "ws.utf8",
    "6455-5.4-utf8-fragments",
    "ECHO",
    WS_JUDGES,
    [
        (
            "cut-by-fragments",
            "F0 9F / 98 80",
            Frames([F(TEXT, b"\xf0\x9f", fin=False), F(CONTINUATION, b"\x98\x80")]),
        )
    ],
)
_UTF8 += rows(
    "ws.utf8",
    "6455-5.6-data",
    "ECHO",
    WS_JUDGES,
    [("binary-any", "binary need not be text", Frames([F(BINARY, b"\xff" * 10)]))],
)


def _close(code: int, reason: bytes = b"") -> F:
    return F(CLOSE, code.to_bytes(2, "big") + reason)


_VALID = (
    *(1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011),
    *(3000, 3999, 4000, 4999),
)
_CLOSE = rows(
    "ws.close",
    "6455-5.5.1-answer",
    "CLOSEn",
    WS_JUDGES,
    [(f"code-{code}", f"close {code}", Frames([_close(code)])) for code in _VALID],
)
# Registered since RFC 6455: a peer that was made before may not know them.
_CLOSE += rows(
    "ws.close",
    "6455-5.5.1-answer",
    "CLOSEn-S",
    WS_JUDGES,
    [(f"code-{code}", f"close {code}", Frames([_close(code)])) for code in (1012, 1013, 1014)],
)
_CLOSE += rows(
    "ws.close",
    "6455-7.4-close-code",
    "FAIL1002",
    WS_JUDGES,
    [
        (f"bad-{code}", f"close {code}", Frames([_close(code)]))
        for code in (0, 1, 999, 1004, 1005, 1006, 1015)
    ],
    "open",
)
# What IANA has not given away is not forbidden by name: an answer with the code is tolerated.
_CLOSE += rows(
    "ws.close",
    "6455-7.4-close-code",
    "FAIL1002-S",
    WS_JUDGES,
    [
        (f"bad-{code}", f"close {code}", Frames([_close(code)]))
        for code in (1016, 1100, 2000, 2999, 5000, 65535)
    ],
    "open",
)
_CLOSE += rows(
    "ws.close",
    "6455-5.5.1-answer",
    "CLOSE",
    WS_JUDGES,
    [
        ("empty", "no body: the answer is empty or 1000", Frames([F(CLOSE)])),
        ("reason", "1000 and text", Frames([_close(1000, b"bye")])),
        ("reason-123", "1000 and 123 bytes", Frames([_close(1000, b"x" * 123)])),
        ("utf8-reason", "1000 and text beyond ASCII", Frames([_close(1000, "tschüß".encode())])),
        ("twice", "two close frames: one answer", Frames([_close(1000), _close(1000)])),
        (
            "then-text",
            "text behind the close is not echoed",
            Frames([_close(1000), F(TEXT, b"late")]),
        ),
        (
            "then-ping",
            "a ping behind the close gets no pong",
            Frames([_close(1000), F(PING, b"late")]),
        ),
        (
            "after-echo",
            "text, then close: echo, then close",
            Frames([F(TEXT, b"hello"), _close(1000)]),
        ),
    ],
)


def _tcp(talk: Talk) -> Finding:
    channel = open_channel(talk)
    channel.wire.send(encode(_close(1000)))
    channel.read_until_closed()
    if channel.close_frame is None:
        return failed(channel.said(), "a close frame was not answered")
    began = talk.time()
    if channel.wire.until_end(1.0):
        return fine(f"TCP ended {talk.time() - began:.2f} s behind the answer")
    return lax(channel.said(), "TCP was not ended within a second")


def _half_close(talk: Talk) -> Finding:
    channel = open_channel(talk)
    channel.wire.finish()
    if channel.wire.until_end(5.0):
        return fine(channel.said())
    return failed(channel.said(), "our end was not answered with an end")


def _rst(talk: Talk) -> Finding:
    channel = open_channel(talk)
    channel.wire.close(reset=True)
    again = open_channel(talk)
    again.wire.send(encode(_close(1000)))
    return judge_close(again, 1000, [])


_CLOSE += rows(
    "ws.close",
    "6455-5.5.1-answer",
    "STEP",
    WS_JUDGES,
    [
        ("tcp", "the server ends TCP within a second of its answer", _tcp),
        ("half-close", "our end without a close frame: the server ends, too", _half_close),
        ("rst", "a reset of ours: the server lives", _rst),
    ],
)
_CLOSE += rows(
    "ws.close",
    "6455-5.5.1-close-body",
    "FAIL1002",
    WS_JUDGES,
    [("one-byte", "a body of one byte", Frames([F(CLOSE, b"\x03")]), "open")],
)
_CLOSE += rows(
    "ws.close",
    "6455-5.5-control-length",
    "FAIL1002",
    WS_JUDGES,
    [("126", "a body of 126 bytes", Frames([_close(1000, b"x" * 124)]), "open")],
)
_CLOSE += rows(
    "ws.close",
    "6455-8.1-utf8",
    "FAIL1007",
    WS_JUDGES,
    [
        ("bad-utf8", "1000 and FF", Frames([_close(1000, b"\xff")]), "open"),
        ("cut-utf8", "1000 and E2 82", Frames([_close(1000, b"\xe2\x82")]), "open"),
    ],
)
_CLOSE += rows(
    "ws.close",
    "6455-5.5-control-fragmented",
    "FAIL1002",
    WS_JUDGES,
    [("fragmented", "a close without FIN", Frames([F(CLOSE, b"\x03\xe8", fin=False)]), "open")],
)


def _unmasked(talk: Talk) -> Finding:
    channel = open_channel(talk)
    channel.wire.send(encode(F(PING, b"p")) + encode(_close(1000)))
    channel.read_until_closed()
    seen = list(talk.target.frames)
    if any(masked for _opcode, masked in seen):
        return failed(f"{sum(m for _o, m in seen)} of {len(seen)} frames were masked")
    return fine(f"{len(seen)} frames, none masked")


_CLOSE += rows(
    "ws.close",
    "6455-5.1-server-mask",
    "SHAPE",
    WS_JUDGES,
    [("server-frames-unmasked", "no frame of the server is masked", _unmasked, "serial", "last")],
)

CASES: list[Case] = [*_UTF8, *_CLOSE]
