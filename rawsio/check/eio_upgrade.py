"""``eio.upgrade``: from polling to WebSocket, in order, interrupted, and twice at once.

Messages are sent around every swap: none may be lost, doubled or reordered.
"""

from __future__ import annotations

from .case import Case, Finding, failed, fine, lax, noted, rows
from .eio_echo import Echo, polling
from .eio_open import EIO_JUDGES, refused_with
from .eio_post import gone
from .eio_wire import Polling, Socket, exchange
from .http_wire import show
from .ws_wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .case import Send
    from .talk import Talk

__all__ = ["CASES"]


def _candidate(talk: Talk, session: Polling) -> Socket:
    """Return a WebSocket on which nothing has been said, for a session that polls."""
    socketio = session.path == talk.target.socket and session.path != talk.target.engine
    return Socket(talk, f"EIO=4&transport=websocket&sid={session.sid}", socketio=socketio)


def _probed(talk: Talk, session: Polling) -> Socket:
    socket = _candidate(talk, session)
    socket.send("2probe")
    answer = socket.receive()
    if answer != "3probe":
        raise Refused(f"3probe was due, not {answer!r}")
    return socket


def _finish_upgrade(talk: Talk, echo: Echo, socket: Socket) -> Echo:
    """Send the upgrade packet, and return the echo over the WebSocket."""
    socket.send("5")
    return Echo(talk, socket, plain=echo.plain)


def _comes_back(after: Echo, message: str | bytes, note: str = "") -> Finding:
    """Judge that a message comes back over the WebSocket."""
    after.session.send(*after.wrap(message))
    return after.expect([message], note)


def _echo(talk: Talk) -> tuple[Echo, Polling]:
    echo = polling(talk)
    if not isinstance(echo.session, Polling):
        raise TypeError("a polling session is expected")
    return echo, echo.session


def _probe(talk: Talk) -> Finding:
    session = Polling(talk)
    socket = _candidate(talk, session)
    socket.send("2probe")
    answer = socket.receive()
    return fine("3probe") if answer == "3probe" else failed(f"{answer!r}", "3probe was due")


def _noop(talk: Talk) -> Finding:
    session = Polling(talk)
    session.start()
    exchange(talk, "", path="/")
    _probed(talk, session)
    began = talk.time()
    answer = session.answer()
    if answer is not None and answer.body == b"2":  # a heartbeat was due before the probe came
        session.send("3")
        answer = session.get()
    took = talk.time() - began
    if answer is None:
        return failed("the waiting GET does not end")
    got = f"{show(answer.body)} after {took * 1000:.0f} ms"
    if answer.body != b"6":
        return failed(got, "a noop was due")
    return fine(got) if took < 0.5 else lax(got, "later than 0.5 s")


def _swap(talk: Talk) -> Finding:
    echo, session = _echo(talk)
    socket = _probed(talk, session)
    after = _finish_upgrade(talk, echo, socket)
    socket.send(*after.wrap("over WebSocket"))
    return after.expect(["over WebSocket"])


def _queued(talk: Talk) -> Finding:
    echo, session = _echo(talk)
    messages = [str(number) for number in range(100)]
    for at in range(0, 60, 20):
        session.send(*echo.wrap(*messages[at : at + 20]))
    early = echo.receive(20)
    socket = _probed(talk, session)
    session.send(*echo.wrap(*messages[60:80]))
    after = _finish_upgrade(talk, echo, socket)
    socket.send(*after.wrap(*messages[80:]))
    if session.waiting:
        session.answer(0.2)
    pending = [echo.unwrap(packet) for packet in session.inbox]
    early += [message for message in pending if message is not None]
    found = early + after.receive(100 - len(early))
    if found == messages:
        return fine("100 messages in order")
    return failed(f"{len(found)} messages: {found!r:.100}", "lost, doubled or reordered")


def _finished(talk: Talk) -> Finding:
    echo, session = _echo(talk)
    session.start()
    socket = _probed(talk, session)
    session.answer()
    after = _finish_upgrade(talk, echo, socket)
    return _comes_back(after, "a")


def _open_poll(talk: Talk) -> Finding:
    echo, session = _echo(talk)
    socket = _probed(talk, session)
    session.start()
    exchange(talk, "", path="/")
    socket.send("5")
    answer = session.answer()
    if answer is None:
        return failed("the waiting GET does not end")
    after = Echo(talk, socket, plain=echo.plain)
    socket.send(*after.wrap("a"))
    finding = after.expect(["a"])
    if finding.verdict == "OK" and answer.body != b"6":
        return lax(show(answer.body), "a noop was due")
    return finding


def _polls_on(talk: Talk, echo: Echo, session: Polling) -> Finding:
    answer = session.send(*echo.wrap("still polling"))
    if answer is None or answer.status != 200:
        return failed(f"{answer.status if answer else 'no answer'}", "polling has to go on")
    return echo.expect(["still polling"])


def _idle(talk: Talk) -> Finding:
    echo, session = _echo(talk)
    socket = _probed(talk, session)
    began = talk.time()
    ended = False
    while not ended and talk.time() - began < 30.0:
        if session.receive(0.2) == "2":
            session.send("3")
        socket.receive(0.0)
        ended = socket.ended
    finding = _polls_on(talk, echo, session)
    took = f"{'ended' if ended else 'open'} after {talk.time() - began:.0f} s"
    return Finding(finding.verdict, f"{took}; {finding.got}", finding.note)


def _cut(talk: Talk) -> Finding:
    echo, session = _echo(talk)
    _probed(talk, session).wire.close(reset=True)
    return _polls_on(talk, echo, session)


def _again(talk: Talk) -> Finding:
    echo, session = _echo(talk)
    first = _candidate(talk, session)
    first.send("2probe")
    first.receive()
    first.wire.close()
    exchange(talk, "", path="/")
    socket = _probed(talk, session)
    after = _finish_upgrade(talk, echo, socket)
    return _comes_back(after, "a")


def _binary(talk: Talk) -> Finding:
    echo, session = _echo(talk)
    socket = _probed(talk, session)
    after = _finish_upgrade(talk, echo, socket)
    return _comes_back(after, b"\0\xff")


def _after(method: str) -> Send:
    """Return a case that polls or posts behind the upgrade: 400 code 3, and the WebSocket lives."""

    def case(talk: Talk) -> Finding:
        echo, session = _echo(talk)
        socket = _probed(talk, session)
        socket.send("5")
        after = Echo(talk, socket, plain=echo.plain)
        socket.send(*after.wrap("a"))
        after.receive(1)
        body = b"4x" if method == "POST" else None
        answer, _wire = exchange(talk, session.query, method=method, body=body, path=session.path)
        finding = refused_with(answer, 3)
        socket.send(*after.wrap("b"))
        lives = after.expect(["b"])
        return finding if lives.verdict == "OK" else lives

    return case


def _second(talk: Talk) -> Finding:
    echo, session = _echo(talk)
    socket = _probed(talk, session)
    after = _finish_upgrade(talk, echo, socket)
    socket.send(*after.wrap("a"))
    after.receive(1)
    try:
        other = _candidate(talk, session)
        ended = other.ends()
    except Exception as error:  # noqa: BLE001 - refused before the 101, which is as good
        ended = "no WebSocket" in str(error)
    socket.send(*after.wrap("b"))
    finding = after.expect(["b"])
    return finding if ended else failed("the second WebSocket stays open")


def _both(talk: Talk) -> Finding:
    echo, session = _echo(talk)
    sockets = [_candidate(talk, session)]
    try:
        sockets.append(_candidate(talk, session))
    except Exception as error:  # noqa: BLE001 - refused before the 101
        return _finish(talk, echo, sockets[0], f"second: {error}")
    for socket in sockets:
        socket.send("2probe")
    said = [socket.receive(1.0) for socket in sockets]
    if "3probe" not in said:
        return failed(f"{said}", "one of them has to win")
    winner = sockets[said.index("3probe")]
    after = _finish_upgrade(talk, echo, winner)
    return _comes_back(after, "a", f"; answers were {said}")


def _finish(talk: Talk, echo: Echo, socket: Socket, note: str) -> Finding:
    socket.send("2probe")
    socket.receive()
    after = _finish_upgrade(talk, echo, socket)
    return _comes_back(after, "a", note)


def _wrong_sid(talk: Talk) -> Finding:
    answer, _wire = exchange(
        talk,
        "EIO=4&transport=websocket&sid=abcdefghijklmnop",
        lines=(
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
    )
    if answer is not None and answer.status == 101:
        return failed("101", "a session that nobody has")
    return refused_with(answer, 1)


_SWAP: list[tuple[str, str, Send]] = [
    ("probe", "2probe is answered with 3probe", _probe),
    ("noop", "the waiting GET ends with 6", _noop),
    ("swap", "5, then an echo over WebSocket", _swap),
    ("queued", "100 messages around the swap: none lost, doubled or out of order", _queued),
    ("poll-finished", "5 only when the GET has ended", _finished),
    ("poll-open", "5 while a GET waits: it ends with 6", _open_poll),
    ("probe-cut", "a probe, then TCP is cut: polling goes on", _cut),
    ("twice-sequential", "a failed probe, then a good one", _again),
    ("binary-after", "a binary echo over WebSocket", _binary),
    ("get-after", "a GET behind it: 400 code 3, the WebSocket lives", _after("GET")),
    ("post-after", "a POST behind it: 400 code 3", _after("POST")),
    ("second-ws", "a second WebSocket: closed, the first lives", _second),
    ("both-probing", "two probes at once: one wins", _both),
    ("wrong-sid", "a probe for a session that nobody has", _wrong_sid),
]


def _rejected(*packets: str | bytes) -> Send:
    """Return a case whose candidate is closed, while the session goes on polling."""

    def case(talk: Talk) -> Finding:
        session = Polling(talk)
        socket = _candidate(talk, session)
        socket.send(*packets)
        ended = socket.ends()
        if gone(talk, session, 0.0):
            if packets == ("5",) and not ended:
                return lax(socket.channel.said(), "upgraded without a probe")
            return failed(socket.channel.said(), "the session died")
        if not ended:
            return lax(socket.channel.said(), "the candidate stays open")
        return fine(socket.channel.said())

    return case


def _probe_twice(talk: Talk) -> Finding:
    session = Polling(talk)
    socket = _probed(talk, session)
    socket.send("2probe")
    said = socket.receive(1.0)
    if gone(talk, session, 0.0):
        return failed(f"{said!r}", "the session died")
    return noted(f"second probe: {said!r}, {'ended' if socket.ended else 'open'}")


_PROBES: list[tuple[str, str, Send]] = [
    ("no-probe", "5 first", _rejected("5")),
    ("message-first", "a message first", _rejected("4x")),
    ("ping-plain", "2 without probe", _rejected("2")),
    ("wrong-probe", "2foo", _rejected("2foo")),
    ("binary", "binary first", _rejected(b"\0")),
    ("probe-twice", "2probe twice (recorded)", _probe_twice),
]

CASES: list[Case] = [
    *rows("eio.upgrade", "engineio-v4-upgrade-swap", "EUP", EIO_JUDGES, _SWAP),
    *rows(
        "eio.upgrade",
        "engineio-v4-upgrade-swap",
        "EUP",
        EIO_JUDGES,
        [
            ("probe-idle", "a probe, then nothing: polling goes on", _idle, "slow"),
        ],
    ),
    *rows("eio.upgrade", "engineio-v4-upgrade-probe", "EPROBE", EIO_JUDGES, _PROBES),
]
