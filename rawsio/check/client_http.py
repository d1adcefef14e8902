"""``client.http``: how a polling client reads answers, right ones and wrong ones.

The first poll is answered in the form that the case is about; what shows is whether the client goes
on (its next poll or its CONNECT comes) or tells its user.
"""

from __future__ import annotations

from .case import Case, Finding, NotOffered, failed, fine, lax, rows
from .client_wire import Asked, Host, host
from .client_ws import CLIENT_JUDGES, GOES_ON, refuses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .case import Send
    from .talk import Talk

__all__ = ["CASES"]

_TYPE = "Content-Type: text/plain; charset=UTF-8\r\n"


def _first(talk: Talk, answer: Callable[[Host, Asked], None]) -> tuple[Host, list[Asked]]:
    """Return the server of a client whose first poll is answered by hand."""
    made = host(talk, transports=["polling"], reconnection=False)
    made.upgrades = []
    done: list[Asked] = []

    def respond(asked: Asked) -> bool:
        if done or asked.upgrades or asked.method != "GET" or "sid" in asked.query:
            return False
        done.append(asked)
        answer(made, asked)
        return True

    made.respond = respond
    if not made.work(lambda: bool(done), 10.0):
        raise NotOffered("the client does not poll")
    return made, done


def _goes_on(
    head: str,
    *,
    framing: str = "length",
    end: bool = False,
    bytewise: bool = False,
    lenient: bool = False,
) -> Send:
    """Return a case whose answer is a good one in an unusual form; a lenient one may be refused."""

    def answer(made: Host, asked: Asked) -> None:
        body = made.open_packet().encode()
        if framing == "length":
            data = f"{head}{_TYPE}Content-Length: {len(body)}\r\n\r\n".encode() + body
        elif framing == "chunked":
            half = len(body) // 2
            data = f"{head}{_TYPE}Transfer-Encoding: chunked\r\n\r\n".encode()
            for part in (body[:half], body[half:]):
                data += b"%x\r\n%s\r\n" % (len(part), part)
            data += b"0\r\n\r\n"
        else:
            data = f"{head}{_TYPE}Connection: close\r\n\r\n".encode() + body
        if bytewise:
            made.talk.cut = 0
        made.raw(asked, data)
        made.talk.cut = None
        if end:
            asked.line.finish()

    def case(talk: Talk) -> Finding:
        made, _done = _first(talk, answer)
        if made.join() or made.sees("connect", 0.0):  # one of Engine.IO alone does not join
            return fine(made.said())
        refused = lenient and bool(made.seen)
        return lax(made.said(), "refused") if refused else failed(made.said(), "a good answer")

    return case


def _keep(talk: Talk) -> Finding:
    made = host(talk, transports=["polling"], reconnection=False)
    made.upgrades = []
    if not made.join() and not made.sees("connect", 0.0):
        return failed(made.said())
    made.work(lambda: False, 0.3)
    return made.recorded(f"{made.connections} connections for {len(made.requests)} requests")


def _close_between(talk: Talk) -> Finding:
    made = host(talk, transports=["polling"], reconnection=False)
    made.upgrades = []
    made.work(lambda: made.opened > 0, 10.0)
    for line in made.lines:
        line.finish()
    return made.recorded("goes on" if made.join(3.0) else made.said())


def _gzip(talk: Talk) -> Finding:
    try:
        import gzip
    except ImportError:
        raise NotOffered("this Python has no zlib") from None
    refused: list[str] = []

    def answer(made: Host, asked: Asked) -> None:
        if "gzip" not in (asked.get("accept-encoding") or ""):
            refused.append("no")
            made.serve(asked)
            return
        body = gzip.compress(made.open_packet().encode(), mtime=0)
        made.answer(asked, body, fields="Content-Encoding: gzip\r\n")

    made, _done = _first(talk, answer)
    joined = made.join()
    if refused:
        return made.recorded("it does not ask for gzip")
    return fine() if joined else failed(made.said(), "it asked for gzip")


def _post_204(talk: Talk) -> Finding:
    made = host(talk, transports=["polling"], reconnection=False)
    made.upgrades = []

    def respond(asked: Asked) -> bool:
        if asked.method != "POST":
            return False
        made.raw(asked, b"HTTP/1.1 204 No Content\r\n\r\n")
        return True

    made.respond = respond
    made.work(lambda: any(a.method == "POST" for a in made.requests), 10.0)
    made.work(lambda: bool(made.seen), 1.0)
    return made.recorded(made.said())


def _cookie(path: str, *, wanted: bool) -> Send:
    cookie = f"{'here' if wanted else 'there'}=1"  # browsers keep those of other cases

    def answer(made: Host, asked: Asked) -> None:
        fields = f"Set-Cookie: {cookie}; Path={path}\r\n"
        made.answer(asked, made.open_packet().encode(), fields=fields)

    def case(talk: Talk) -> Finding:
        made, _done = _first(talk, answer)
        made.join()
        back = any(cookie in (asked.get("cookie") or "") for asked in made.requests[1:])
        if back and not wanted:
            return failed("the cookie came back", "it belongs to another path")
        if back != wanted:
            return made.recorded("no cookie came back")
        return fine(f"came back: {back}")

    return case


def _redirect(talk: Talk) -> Finding:
    def answer(made: Host, asked: Asked) -> None:
        made.raw(asked, b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    made, _done = _first(talk, answer)
    made.work(lambda: bool(made.seen), 1.0)
    followed = any(asked.target.startswith("/elsewhere") for asked in made.requests)
    return made.recorded("follows" if followed else "does not follow")


_OK = "HTTP/1.1 200 OK\r\n"
_MINOR = ("minor", "HTTP/1.2", _goes_on("HTTP/1.2 200 OK\r\n", lenient=True))
_GOOD: list[tuple[object, ...]] = [
    ("length", "framed by Content-Length", _goes_on(_OK)),
    ("chunked", "chunked", _goes_on(_OK, framing="chunked")),
    ("until-close", "framed by the end", _goes_on(_OK, framing="close", end=True)),
    ("continue", "100, then 200", _goes_on("HTTP/1.1 100 Continue\r\n\r\n" + _OK)),
    ("early-hints", "103, then 200", _goes_on("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + _OK)),
    ("head-blanks", "no reason", _goes_on("HTTP/1.1 200 \r\n")),
    ("lower-fields", "names in small letters", _goes_on(_OK + "x-a: b\r\n")),
    ("bytewise", "one byte a segment", _goes_on(_OK, bytewise=True)),
    ("keep", "connections are reused or not (recorded)", _keep),
    ("close-between", "kept connections are closed by us (recorded)", _close_between),
    ("gzip", "gzip, if asked for", _gzip),
    ("204", "204 to a POST (recorded)", _post_204),
    ("cookie", "a cookie comes back", _cookie("/", wanted=True)),
    ("cookie-path", "a cookie of another path does not", _cookie("/elsewhere", wanted=False)),
    ("redirect", "302 (recorded)", _redirect),
]


def _wrong(data: bytes, *, end: bool = False, repeat: int = 0, lenient: bool = False) -> Send:
    """Return a case whose answer the client has to refuse; ``$O`` is the open packet."""

    def answer(made: Host, asked: Asked) -> None:
        packet = made.open_packet().encode()
        made.raw(asked, data.replace(b"$O", packet).replace(b"$L", b"%d" % len(packet)))
        for _ in range(repeat):
            if asked.line.ended:
                break
            made.raw(asked, b"x" * 65_536)
            asked.line.receive(0.0)
        if end:
            asked.line.finish()

    def case(talk: Talk) -> Finding:
        made, done = _first(talk, answer)
        finding = refuses(made, lambda: bool(done[0].line.ended))
        if lenient and finding.note == GOES_ON:
            why = f"it takes all of {repeat // 16} MiB" if repeat else "accepted"
            return lax(finding.got, why)
        return finding

    return case


_HEAD = b"HTTP/1.1 200 OK\r\n"
_BAD: list[tuple[object, ...]] = [
    (
        "two-lengths",
        "two lengths",
        _wrong(_HEAD + b"Content-Length: $L\r\nContent-Length: 3\r\n\r\n$O"),
    ),
    (
        "length-and-chunked",
        "both framings",
        _wrong(
            _HEAD
            + b"Content-Length: $L\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ),
    ),
    (
        "bad-chunk",
        "a bad chunk size",
        _wrong(_HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n$O"),
    ),
    ("cut", "the body is cut off", _wrong(_HEAD + b"Content-Length: 999\r\n\r\n$O", end=True)),
    ("bad-status", "HTTP/1.1 abc", _wrong(b"HTTP/1.1 abc\r\nContent-Length: $L\r\n\r\n$O")),
    ("http2", "HTTP/2 200", _wrong(b"HTTP/2 200\r\nContent-Length: $L\r\n\r\n$O")),
    (
        "101-unasked",
        "101 to a poll",
        _wrong(b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
    ),
    (
        "bomb",
        "a gzip bomb",
        _wrong(_HEAD + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"),
    ),
]


# No rule bounds what a client takes, and NUL may be replaced by a blank (RFC 9110 section 5.5).
_NUL = _HEAD + b"X: \0\r\nContent-Length: $L\r\n\r\n$O"
_SOFT: list[tuple[object, ...]] = [
    ("endless-head", "an endless head", _wrong(_HEAD + b"X: ", repeat=200, lenient=True)),
    ("endless-body", "an endless body", _wrong(_HEAD + b"\r\n", repeat=320, lenient=True)),
    ("nul-field", "NUL in a field", _wrong(_NUL, lenient=True)),
]


def _recorded(data: bytes) -> Send:
    def answer(made: Host, asked: Asked) -> None:
        packet = made.open_packet().encode()
        made.raw(asked, data.replace(b"$O", packet).replace(b"$L", b"%d" % len(packet)))

    def case(talk: Talk) -> Finding:
        made, _done = _first(talk, answer)
        return made.recorded("goes on" if made.join(2.0) else made.said())

    return case


def _unsolicited(talk: Talk) -> Finding:
    made = host(talk, transports=["polling"], reconnection=False)
    made.upgrades = []
    for _ in range(500):
        transport = made.caller.accept(0.01)
        if transport is not None:
            made.lines.append(talk.adopt(transport))
            made.lines[-1].send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
            break
    made.work(lambda: bool(made.seen) or made.opened > 0, 2.0)
    return made.recorded(made.said())


CASES: list[Case] = [
    *rows("client.http", "9112-6.3-no-body", "CPASS", CLIENT_JUDGES, _GOOD),
    *rows("client.http", "9112-6.3-no-body", "CPASS-S", CLIENT_JUDGES, [_MINOR]),
    *rows("client.http", "9112-6.3-one-length", "CFAIL-S", CLIENT_JUDGES, _SOFT),
    *rows(
        "client.http",
        "9112-6.3-one-length",
        "CFAIL",
        CLIENT_JUDGES,
        [
            *_BAD,
            (
                "fold",
                "a folded field (recorded)",
                _recorded(_HEAD + b"X: a\r\n b\r\nContent-Length: $L\r\n\r\n$O"),
            ),
            (
                "extra-bytes",
                "bytes behind the answer (recorded)",
                _recorded(_HEAD + b"Content-Length: $L\r\n\r\n$Oextra"),
            ),
            ("unsolicited", "an answer before any request (recorded)", _unsolicited),
        ],
    ),
]
