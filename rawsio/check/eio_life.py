"""``eio.beat``, ``eio.close``, ``eio.ws``, ``eio.limit``: how sessions live and end.

Heartbeats are watched only where they are fast (an interval of two seconds at most): the contract's
``--fast``.
"""

from __future__ import annotations

from .case import Case, Finding, NotOffered, failed, fine, lax, noted, rows
from .eio_echo import polling, websocket
from .eio_open import EIO_JUDGES, refused_with
from .eio_post import gone
from .eio_wire import Polling, Socket, exchange, most_payload
from .http_wire import show
from .ws_wire import CLOSE, TEXT, F, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .case import Send
    from .talk import Talk

__all__ = ["CASES", "beat"]


def beat(talk: Talk) -> tuple[float, float]:
    """Return interval and time-out in seconds; raises :class:`NotOffered` if they are long."""
    interval: Any = talk.target.open.get("pingInterval")
    timeout: Any = talk.target.open.get("pingTimeout")
    if not all(type(time) in (int, float) and 0 < time <= 2000 for time in (interval, timeout)):
        raise NotOffered(f"needs fast heartbeats; they are {interval!r:.30} and {timeout!r:.30} ms")
    return interval / 1000, timeout / 1000


def _beats(session: Polling | Socket, talk: Talk) -> Finding:
    interval, timeout = beat(talk)
    began = talk.time()
    for number in range(3):
        packet = session.receive(2 * (interval + timeout) + 1)
        if packet != "2":
            return failed(f"{packet!r} after {talk.time() - began:.2f} s", "a ping was due")
        session.send("3")
        if number == 2 and talk.time() - began > 3 * 2 * (interval + 0.3):
            return lax(f"three pings in {talk.time() - began:.2f} s", "slower than announced")
    return fine(f"three pings in {talk.time() - began:.2f} s")


def _beat_polling(talk: Talk) -> Finding:
    beat(talk)
    return _beats(Polling(talk), talk)


def _beat_websocket(talk: Talk) -> Finding:
    beat(talk)
    return _beats(Socket(talk).opened(), talk)


def _silent_polling(talk: Talk) -> Finding:
    interval, timeout = beat(talk)
    session = Polling(talk)
    if session.receive(2 * interval + 1) != "2":
        return failed("no ping")
    session.start()
    began = talk.time()
    session.answer(2 * (interval + timeout) + 1)
    took = talk.time() - began
    if gone(talk, session, 2 * timeout + 0.5):
        return fine(f"ended {took:.2f} s after the ping")
    return failed(f"alive {talk.time() - began:.2f} s after the ping")


def _silent_websocket(talk: Talk) -> Finding:
    interval, timeout = beat(talk)
    socket = Socket(talk).opened()
    if socket.receive(2 * interval + 1) != "2":
        return failed("no ping")
    began = talk.time()
    ended = socket.ends(interval + 2 * timeout + 1)
    took = talk.time() - began
    if not ended:
        return failed(f"alive {took:.2f} s after the ping")
    return fine(f"ended {took:.2f} s after the ping")


def _from_pong(talk: Talk) -> Finding:
    interval, timeout = beat(talk)
    socket = Socket(talk).opened()
    if socket.receive(2 * interval + 1) != "2":
        return failed("no ping")
    talk.world.pause(timeout * 0.4)
    socket.send("3")
    began = talk.time()
    packet = socket.receive(2 * interval + 1)
    took = talk.time() - began
    if packet != "2":
        return failed(f"{packet!r}", "a ping was due")
    good = took > interval * 0.9
    return fine(f"{took:.2f} s") if good else lax(f"{took:.2f} s", "counted from its own ping")


def _instead(talk: Talk) -> Finding:
    interval, timeout = beat(talk)
    socket = Socket(talk).opened()
    if socket.receive(2 * interval + 1) != "2":
        return failed("no ping")
    socket.send("6")
    began = talk.time()
    socket.ends(3 * (interval + timeout))
    return noted(f"without a pong, but a packet: ended after {talk.time() - began:.2f} s")


def _no_extra(talk: Talk) -> Finding:
    interval, _timeout = beat(talk)
    socket = Socket(talk).opened()
    packet = socket.receive(interval * 0.7)
    return failed(f"{packet!r}", "before the interval") if packet == "2" else fine()


def _no_data(talk: Talk) -> Finding:
    interval, _timeout = beat(talk)
    packet = Socket(talk).opened().receive(2 * interval + 1)
    return fine() if packet == "2" else failed(f"{packet!r}")


_BEAT: list[tuple[str, str, Send]] = [
    ("polling", "GET gives a ping, POST a pong, three times", _beat_polling),
    ("websocket", "the same over WebSocket", _beat_websocket),
    ("silent-polling", "no pong: the session ends in time", _silent_polling),
    ("silent-websocket", "no pong: the WebSocket is closed in time", _silent_websocket),
    ("interval-from-pong", "the next ping comes one interval behind the pong", _from_pong),
    ("extended", "a packet instead of a pong (recorded)", _instead),
    ("no-extra-ping", "no ping before the interval", _no_extra),
    ("ping-no-data", "a ping has no data", _no_data),
]


def _ends_after(*packets: str | bytes, upgraded: bool = False, dropped: bool = False) -> Send:
    """Return a case whose packets, over WebSocket, end the session, or may be ``dropped``."""

    def case(talk: Talk) -> Finding:
        socket = _upgraded(talk) if upgraded else Socket(talk).opened()
        socket.send(*packets)
        if socket.ends():
            return fine(socket.channel.said())
        if dropped:
            return lax(socket.channel.said(), "dropped: the session goes on")
        return failed(socket.channel.said(), "the session goes on")

    return case


def _upgraded(talk: Talk) -> Socket:
    session = Polling(talk)
    socket = Socket(talk, f"EIO=4&transport=websocket&sid={session.sid}")
    socket.send("2probe")
    socket.receive()
    socket.send("5")
    return socket


_WRONG_WAY: list[tuple[str, str, Send]] = [
    ("ping-websocket", "a ping, which is the server's", _ends_after("2")),
    ("ping-probe-late", "2probe on an upgraded session", _ends_after("2probe", upgraded=True)),
]


def _close_polling(talk: Talk) -> Finding:
    session = Polling(talk)
    session.start()
    exchange(talk, "", path="/")
    answer = session.post("1")
    waited = session.answer()
    posted = answer.status if answer else "open"
    got = f"post {posted}, poll {show(waited.body) if waited else 'open'}"
    if waited is None:
        return failed(got, "the waiting GET has to end")
    if not gone(talk, session):
        return failed(got, "the session lives on")
    return fine(got) if waited.body in (b"6", b"1") or waited.status >= 400 else lax(got)


def _ws_frame(talk: Talk) -> Finding:
    socket = Socket(talk).opened()
    socket.wire.send(encode(F(CLOSE, b"\x03\xe8")))
    socket.ends()
    return _forgotten(talk, socket)


def _tcp(talk: Talk) -> Finding:
    socket = Socket(talk).opened()
    socket.wire.close(reset=True)
    return _forgotten(talk, socket)


def _forgotten(talk: Talk, socket: Socket) -> Finding:
    sid = socket.open.get("sid")
    tries = 20
    while True:
        answer, wire = exchange(talk, f"EIO=4&transport=polling&sid={sid}", path=socket.path)
        wire.close()
        finding = refused_with(answer, 1)
        tries -= 1
        if finding.verdict == "OK" or not tries:
            return finding
        talk.world.pause(0.05)


def _post_after(talk: Talk) -> Finding:
    session = Polling(talk)
    session.post("1")
    session.polls = None
    answer, _wire = exchange(talk, session.query, method="POST", body=b"4x", path=session.path)
    return refused_with(answer, 1)


_CLOSE: list[tuple[str, str, Send]] = [
    ("polling", "1 is posted: the waiting GET ends, then 400", _close_polling),
    ("websocket", "1 over WebSocket: closed at once", _ends_after("1")),
    ("ws-frame", "a WebSocket close frame: the session is gone", _ws_frame),
    ("tcp", "TCP ends without a close frame: the session is gone", _tcp),
    ("then-post", "a POST behind 1: 400, code 1", _post_after),
]


def _ws_code(talk: Talk) -> Finding:
    socket = Socket(talk).opened()
    socket.send("1")
    socket.ends()
    closed = socket.channel.close_frame
    return noted(f"close {closed.code}" if closed is not None else "no close frame")


_ENDS: list[tuple[str, str, Send]] = [
    ("unknown", "abc", _ends_after("abc")),
    ("type-8", "8", _ends_after("8")),
    ("empty-text", "an empty text message", _ends_after("")),
]
_ENDS_SOFT: list[tuple[str, str, Send]] = [
    ("open", "an open packet", _ends_after("0", dropped=True)),
    ("upgrade", "5 where nothing was probed", _ends_after("5", dropped=True)),
]


def _comes_back(*messages: str | bytes) -> Send:
    def case(talk: Talk) -> Finding:
        echo = websocket(talk)
        echo.session.send(*echo.wrap(*messages))
        return echo.expect(messages)

    return case


def _base64(talk: Talk) -> Finding:
    echo = websocket(talk)
    packets = echo.wrap(b"\1\2\3")
    echo.session.send(*packets[:-1], "bAQID")
    return echo.expect([b"\1\2\3"])


def _big(talk: Talk) -> Finding:
    echo = websocket(talk)
    size = most_payload(echo.session.open)
    text = "x" * (size - len("".join(map(str, echo.wrap("")))))
    echo.session.send(*echo.wrap(text))
    return echo.expect([text])


_WS: list[tuple[str, str, Send]] = [
    ("text", "a text message comes back", _comes_back("hello")),
    ("binary", "a binary message", _comes_back(b"\1\2\3")),
    ("empty-binary", "an empty binary message", _comes_back(b"")),
    ("base64", "base64 as text is a binary message", _base64),
    ("1e-inside", "a separator inside: one packet", _comes_back("a\x1eb")),
    ("big", "maxPayload bytes", _big),
    ("newline", "CR LF inside", _comes_back("a\r\nb")),
]


def _too_big(talk: Talk) -> Finding:
    socket = Socket(talk).opened()
    size = most_payload(socket.open)
    socket.wire.send(encode(F(TEXT, b"4" + b"x" * size)), stop=socket.channel.closed)
    if not socket.ends():
        return failed(socket.channel.said(), "maxPayload is not kept")
    closed = socket.channel.close_frame
    code = closed.code if closed is not None else None
    return fine("close 1009") if code == 1009 else lax(socket.channel.said(), "1009 is the code")


_ENOUGH = 45.0
"""Seconds after which a slow server has been given enough sessions."""


def _sessions(talk: Talk) -> Finding:
    wire = None
    for number in range(2000):
        if talk.time() - talk.began > _ENOUGH:
            return noted(f"{number} sessions in {_ENOUGH:.0f} s")
        answer, wire = exchange(talk, "EIO=4&transport=polling", wire=wire)
        if answer is None or answer.status >= 500:
            got = answer.status if answer else "no answer"
            return failed(f"{number} sessions, then {got}")
        if answer.status != 200:
            return noted(f"{number} sessions, then {answer.status}")
    return noted("2000 sessions that nobody polls")


def _unpolled(talk: Talk) -> Finding:
    echo = polling(talk)
    session = echo.session
    if not isinstance(session, Polling):
        raise NotOffered("needs polling")
    packets = echo.wrap(*["x" * 1000] * 100)
    for number in range(300):
        answer = session.send(*packets)
        if answer is not None and answer.status >= 500:
            return failed(f"{answer.status} after {number * 100} messages")
        if answer is None or answer.status != 200:
            return noted(f"cut after {number * 100} messages that nobody polled")
    return lax("30,000 messages of 1 KB are kept for a client that never polls")


def _packets(talk: Talk) -> Finding:
    session = Polling(talk)
    began = talk.time()
    answer = session.post("\x1e".join(["6"] * 100_000), seconds=10.0)
    took = talk.time() - began
    if answer is None:
        return failed("no answer", "it hangs")
    if answer.status >= 500:
        return failed(str(answer.status))
    return noted(f"{answer.status} after {took:.2f} s for 100,000 packets")


CASES: list[Case] = [
    *rows("eio.beat", "engineio-v4-heartbeat-interval", "EBEAT", EIO_JUDGES, _BEAT, "serial"),
    *rows("eio.beat", "engineio-v4-heartbeat-direction", "EEND", EIO_JUDGES, _WRONG_WAY),
    *rows("eio.close", "engineio-v4-close-packet", "EEND", EIO_JUDGES, _CLOSE),
    *rows(
        "eio.close",
        "engineio-v4-close-websocket",
        "INFO",
        EIO_JUDGES,
        [
            ("ws-code", "the code of the server's close frame", _ws_code),
        ],
    ),
    *rows("eio.ws", "engineio-v4-packet-known", "EEND", EIO_JUDGES, _ENDS),
    *rows("eio.ws", "engineio-v4-packet-known", "EEND-S", EIO_JUDGES, _ENDS_SOFT),
    *rows("eio.ws", "engineio-v4-packet-types", "ECHO", EIO_JUDGES, _WS),
    *rows(
        "eio.ws",
        "engineio-v4-polling-size",
        "FAIL1009",
        EIO_JUDGES,
        [
            ("too-big", "maxPayload + 1: close 1009", _too_big),
        ],
    ),
    *rows(
        "eio.limit",
        "engineio-v4-handshake-sessions",
        "LIM",
        EIO_JUDGES,
        [
            ("sessions", "2,000 sessions that nobody polls", _sessions, "limit", "serial"),
        ],
    ),
    *rows(
        "eio.limit",
        "engineio-v4-polling-unpolled",
        "LIM",
        EIO_JUDGES,
        [
            ("unpolled", "messages for a client that never polls", _unpolled, "limit", "serial"),
        ],
    ),
    *rows(
        "eio.limit",
        "engineio-v4-payload-count",
        "LIM",
        EIO_JUDGES,
        [
            ("packets", "100,000 packets in one body", _packets, "limit", "serial"),
        ],
    ),
]
