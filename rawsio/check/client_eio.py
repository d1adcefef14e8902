"""``client.eio``: an Engine.IO client: its session, its heartbeat, its upgrade."""

from __future__ import annotations

from .case import Case, Finding, NotOffered, failed, fine, lax, rows
from .client_wire import Asked, Host, host, plain
from .client_ws import CLIENT_JUDGES
from .ws_wire import TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .case import Send
    from .talk import Talk

__all__ = ["CASES", "polled"]


def polled(talk: Talk, **options: object) -> Host:
    """Return the server of a client that polls, and has joined."""
    made = host(talk, **{"transports": ["polling"], "reconnection": False, **options})
    made.upgrades = []
    if not made.join():
        raise NotOffered("the client does not poll and join")
    made.sees("connect")
    return made


def _query(talk: Talk) -> Finding:
    made = polled(talk)
    first = made.requests[0]
    wrong = first.query.get("EIO") != "4" or first.query.get("transport") != "polling"
    if wrong or "sid" in first.query:
        return failed(first.target)
    later = [asked for asked in made.requests[1:] if asked.query.get("sid") != made.sid]
    return failed(later[0].target, "no sid") if later else fine(first.target)


def _path(talk: Talk) -> Finding:
    made = polled(talk)
    path = made.requests[0].target.partition("?")[0]
    return fine(path) if path == made.path else failed(path, f"{made.path} is the path")


def _unknown_keys(talk: Talk) -> Finding:
    made = host(talk, transports=["polling"], reconnection=False)
    made.upgrades, made.more = [], {"foo": 1, "bar": {"a": []}}
    return fine() if made.join() else failed(made.said())


def _packets(count: int) -> Send:
    def case(talk: Talk) -> Finding:
        made = polled(talk)
        made.work(lambda: made.poll is not None)
        made.send(*(f'42["message",{n}]' for n in range(count)))

        def all_there() -> bool:
            got = [i["args"] for i in made.seen if i.get("event") == "message"]
            return len(got) >= count

        made.work(all_there, 3.0)
        got = [i["args"] for i in made.seen if i.get("event") == "message"]
        right = got == [[n] for n in range(count)]
        return fine(f"{count} in order") if right else failed(f"{got!r:.80}", f"{count} were sent")

    return case


def _beats(made: Host) -> Finding:
    for _ in range(2):
        made.send("2")
        if made.packet("3") is None:
            return failed(made.said(), "no pong")
    return fine("a pong for each ping")


def _websocket(talk: Talk, **options: object) -> Host:
    made = host(talk, **{"transports": ["websocket"], "reconnection": False, **options})
    if not made.join():
        raise NotOffered("the client does not join over WebSocket")
    return made


def _missing(talk: Talk) -> Finding:
    made = host(talk, transports=["websocket"], reconnection=False)
    made.times = (300, 200)
    if not made.join():
        raise NotOffered("the client does not join over WebSocket")
    began = talk.time()
    if not made.sees("disconnect", 5.0):
        return failed(made.said(), "it does not miss the ping")
    took = talk.time() - began
    reason = next(i.get("reason") for i in made.seen if i.get("event") == "disconnect")
    return fine(f"{reason} after {took:.2f} s") if "ping" in str(reason) else lax(f"{reason}")


def _tiny(talk: Talk) -> Finding:
    made = host(talk, transports=["websocket"], reconnection=False)
    made.times = (300, 200)
    if not made.join():
        raise NotOffered("the client does not join over WebSocket")
    for _ in range(4):
        made.work(lambda: False, 0.25)
        made.send("2")
        if made.packet("3") is None:
            return failed(made.said(), "no pong")
    return fine("alive with an interval of 300 ms")


def _upgrading(talk: Talk, respond: Callable[[Host, Asked], bool] | None = None) -> Host:
    """Return the server of a client that polls first and may upgrade."""
    made = host(talk, transports=["polling", "websocket"], reconnection=False)
    if respond is not None:
        made.respond = lambda asked: respond(made, asked)
    if not made.join():
        raise NotOffered("the client does not join")
    return made


def _upgrade(talk: Talk) -> Finding:
    made = _upgrading(talk)
    made.work(lambda: made.upgraded, 5.0)
    if not made.upgraded:
        raise NotOffered("the client does not upgrade")
    if made.poll is not None and not made.poll.line.ended:
        return failed(made.said(), "5 was sent while a poll waited")
    made.send('42["message","over WebSocket"]')
    good = made.sees("message", args=["over WebSocket"])
    return fine(made.said()) if good and not made.faults else failed(made.said(), f"{made.faults}")


def _no_offer(talk: Talk) -> Finding:
    made = host(talk, transports=["polling", "websocket"], reconnection=False)
    made.upgrades = []
    made.join()
    made.work(lambda: False, 0.5)
    tried = any(asked.upgrades for asked in made.requests)
    return failed("it tried") if tried else fine("none was tried")


def _stays(spoil: Callable[[Host, Asked], bool]) -> Send:
    """Return a case whose upgrade fails: the client has to go on polling."""

    def case(talk: Talk) -> Finding:
        made = _upgrading(talk, spoil)
        if not made.work(lambda: any(a.upgrades for a in made.requests), 5.0):
            raise NotOffered("the client does not upgrade")
        made.work(lambda: False, 0.3)
        made.send('42["message","still here"]')
        good = made.sees("message", 3.0, args=["still here"])
        if good:
            return fine(made.said())
        if made.sees("disconnect", 0.1):
            return lax(made.said(), "it disconnects")
        return failed(made.said(), "the message was lost")

    return case


def _refused(made: Host, asked: Asked) -> bool:
    if asked.upgrades:
        made.answer(asked, b"no", status=403)
    return asked.upgrades


def _probe_with(answer: bytes | None, *, cut: bool = False) -> Callable[[Host, Asked], bool]:
    def respond(made: Host, asked: Asked) -> bool:
        if not asked.upgrades:
            return False
        made.automatic = False
        link = made.switch(asked)
        made.candidate = None
        if answer is not None:
            link.send(plain(TEXT, answer))
        if cut:
            link.line.close()
            link.line.ended = "end"
        made.lines.remove(asked.line)
        return True

    return respond


def _around(talk: Talk) -> Finding:
    made = _upgrading(talk)
    made.send(*(f'42["message",{n}]' for n in range(10)))
    made.work(lambda: made.upgraded, 5.0)
    made.send(*(f'42["message",{n}]' for n in range(10, 20)))
    made.work(lambda: sum(i.get("event") == "message" for i in made.seen) >= 20, 3.0)
    got = [i["args"][0] for i in made.seen if i.get("event") == "message"]
    return fine("20 in order") if got == list(range(20)) else failed(f"{got}")


def _noop(talk: Talk) -> Finding:
    made = polled(talk)
    made.work(lambda: made.poll is not None)
    made.send("6")
    made.work(lambda: made.poll is None or not made.outbox)
    made.send('42["message","x"]')
    return fine() if made.sees("message", args=["x"]) else failed(made.said())


def _sent_20(made: Host) -> bool:
    return sum("out" in str(packet) for packet in made.inbox) >= 20


def _one_poll(talk: Talk) -> Finding:
    made = polled(talk)
    for number in range(20):
        made.tell(emit=["out", number])
    made.work(lambda: _sent_20(made), 3.0)
    return failed(f"{made.faults}") if made.faults else fine(f"{len(made.requests)} requests")


def _one_post(talk: Talk) -> Finding:
    """Let each POST wait for its answer, and see whether another one comes meanwhile."""
    made = polled(talk)
    held: list[Asked] = []

    def hold(asked: Asked) -> bool:
        if asked.method == "POST":
            held.append(asked)
        return asked.method == "POST"

    made.respond = hold
    for number in range(20):
        made.tell(emit=["out", number])
    posts = 0
    while not _sent_20(made) and made.work(lambda: bool(held), 3.0):
        made.work(lambda: len(held) > 1, 0.05)
        if len(held) > 1:
            return failed(made.said(), "two posts at a time")
        posts += 1
        made.serve(held.pop())
    return fine(f"{posts} posts") if _sent_20(made) else failed(made.said(), "events were lost")


def _batch(talk: Talk) -> Finding:
    made = host(talk, transports=["polling"], reconnection=False)
    made.upgrades, made.more = [], {"maxPayload": 1000}
    if not made.join():
        raise NotOffered("the client does not join")
    made.tell(burst=["out", 30, 200])
    made.work(lambda: sum("out" in str(p) for p in made.inbox) >= 30, 3.0)
    sizes = [len(asked.body) for asked in made.requests if asked.method == "POST"]
    longest = max(sizes, default=0)
    if longest <= 1000:
        return fine(f"{longest} bytes at most")
    return failed(f"a POST of {longest} bytes", "the handshake said maxPayload 1000")


def _big_single(talk: Talk) -> Finding:
    made = host(talk, transports=["polling"], reconnection=False)
    made.upgrades, made.more = [], {"maxPayload": 1000}
    if not made.join():
        raise NotOffered("the client does not join")
    made.tell(burst=["out", 1, 5000])
    sent = made.packet('42["out"', seconds=1.5)
    return made.recorded("sent" if sent else f"not sent: {made.said()}")


def _base64(talk: Talk) -> Finding:
    made = polled(talk)
    made.send('451-["message",{"_placeholder":true,"num":0}]', b"\0\xff")
    good = made.sees("message", 2.0)
    return fine(made.said()) if good else failed(made.said())


def _ends(polling: bool) -> Send:  # noqa: FBT001
    def case(talk: Talk) -> Finding:
        made = polled(talk) if polling else _websocket(talk)
        made.tell(disconnect=True)
        made.packet("41", seconds=2.0)
        if not polling:
            closed = made.work(lambda: made.gone, 3.0)
            return fine("closed") if closed else failed(made.said())
        said = made.packet("1", seconds=2.0)
        if said is None and made.poll is not None and not made.poll.line.ended:
            return failed(made.said(), "it polls on")
        return fine("1 posted") if said == "1" else lax(made.said(), "no 1 was posted")

    return case


def _server_close(talk: Talk) -> Finding:
    made = polled(talk)
    made.work(lambda: made.poll is not None)
    made.send("1")
    return fine(made.said()) if made.sees("disconnect") else failed(made.said())


def _field(name: str, *, wanted: bool) -> Send:
    def case(talk: Talk) -> Finding:
        values = [asked.get(name) for asked in polled(talk).requests]
        there = any(values)
        return fine(f"{values[:2]}") if there == wanted else failed(f"{values[:2]}")

    return case


def _escape(talk: Talk) -> Finding:
    made = host(talk, transports=["polling"], reconnection=False)
    made.upgrades, made.sid = [], "a+b&c=d%e"
    made.work(lambda: len(made.requests) >= 2, 5.0)
    later = made.requests[1].target if len(made.requests) > 1 else ""
    if "sid=a%2Bb%26c%3Dd%25e" in later:
        return fine(later)
    return failed(later, "the sid has to be percent-encoded")


def _buster(talk: Talk) -> Finding:
    made = polled(talk)
    targets = [asked.target for asked in made.requests if asked.method == "GET"]
    differ = len(set(targets)) == len(targets)
    return made.recorded("each GET differs" if differ else f"{targets[-1]}")


def _only(transport: str) -> Send:
    def case(talk: Talk) -> Finding:
        made = host(talk, transports=[transport], reconnection=False)
        if not made.join():
            raise NotOffered("the client does not join")
        made.work(lambda: False, 0.4)
        polls = any(not asked.upgrades for asked in made.requests)
        sockets = any(asked.upgrades for asked in made.requests)
        wrong = sockets if transport == "polling" else polls
        return failed(made.said()) if wrong else fine(f"{transport} only")

    return case


def _remember(talk: Talk) -> Finding:
    made = host(talk, transports=["polling", "websocket"], reconnection=True, reconnectionDelay=100)
    made.join()
    made.work(lambda: made.upgraded, 2.0)
    for line in made.lines:
        line.close()
        line.ended = "end"
    made.link = None
    before = len(made.requests)
    made.work(lambda: len(made.requests) > before, 4.0)
    if len(made.requests) == before:
        return made.recorded("it does not come back")
    first = "WebSocket" if made.requests[before].upgrades else "polling"
    return made.recorded(f"{first} first")


_GOOD: list[tuple[object, ...]] = [
    ("query", "EIO=4, transport, no sid at first", _query),
    ("path", "the path, with a slash", _path),
    ("unknown-keys", "unknown keys of the open packet are ignored", _unknown_keys),
    ("many-packets", "40 packets in one answer", _packets(40)),
    ("16-packets", "17 packets in one answer", _packets(17)),
    ("beat", "a pong for each ping, over polling", lambda talk: _beats(polled(talk))),
    ("beat-ws", "over WebSocket", lambda talk: _beats(_websocket(talk))),
    ("beat-missing", "no ping: closed", _missing),
    ("beat-tiny", "an interval of 300 ms", _tiny),
    ("upgrade", "2probe, then 5 once the poll has ended", _upgrade),
    ("upgrade-no-offer", "no upgrades offered, none tried", _no_offer),
    ("upgrade-refused", "403: it goes on polling", _stays(_refused)),
    ("upgrade-silent", "no 3probe: it goes on polling", _stays(_probe_with(None))),
    ("upgrade-wrong", "3foo: it goes on polling", _stays(_probe_with(b"3foo"))),
    ("upgrade-cut", "cut off: it goes on polling", _stays(_probe_with(None, cut=True))),
    ("upgrade-messages", "messages around the upgrade", _around),
    ("noop", "a noop is ignored", _noop),
    ("post-one", "one POST at a time", _one_post),
    ("poll-one", "one GET at a time", _one_poll),
    ("batch", "a POST within maxPayload", _batch),
    ("big-single", "a packet over maxPayload (recorded)", _big_single),
    ("base64", "binary by polling", _base64),
    ("close", "close by polling: 1", _ends(polling=True)),
    ("server-close", "1 in an answer: closed", _server_close),
    ("cors", "no credentials unless told", _field("authorization", wanted=False)),
    ("sid-escape", "a sid with + is percent-encoded", _escape),
    ("cache-buster", "GETs differ (recorded)", _buster),
    ("no-ws", "transports polling only", _only("polling")),
    ("no-polling", "transports websocket only", _only("websocket")),
    ("remember", "the second connection (recorded)", _remember),
]


def _opened_with(body: bytes, *, status: int = 200, content: str = "") -> Send:
    """Return a case whose first poll gets this body."""

    def case(talk: Talk) -> Finding:
        made = host(talk, transports=["polling"], reconnection=False)

        def respond(asked: Asked) -> bool:
            if asked.method != "GET":
                return False
            made.answer(asked, body.replace(b"$O", made.open_packet().encode()), status=status)
            return True

        made.respond = respond
        made.work(lambda: bool(made.requests), 10.0)
        told = made.work(lambda: bool(made.seen), 3.0)
        before = len(made.requests)
        made.work(lambda: False, 0.3)
        if len(made.requests) - before > 5:
            return failed(made.said(), "it comes back without a delay")
        if told:
            return fine(made.said())
        verdict = lax if status == 200 else failed
        return verdict(made.said(), "its user is not told within 3 s")

    return case


def _status(method: str, status: int) -> Send:
    """Return a case whose later request gets an error status."""

    def case(talk: Talk) -> Finding:
        made = polled(talk)

        def respond(asked: Asked) -> bool:
            if asked.method == method:
                made.answer(asked, b"x", status=status)
            return asked.method == method

        made.respond = respond
        if made.poll is not None and method == "GET":
            made.answer(made.poll, b"x", status=status)
            made.poll = None
        if method == "POST":
            made.tell(emit=["out", 1])
        return _told(made)

    return case


def _told(made: Host, *, dropped: bool = False) -> Finding:
    """Judge that the user is told of an end; a bad packet may be ``dropped`` instead."""
    if made.sees("disconnect", 3.0):
        return fine(made.said())
    if dropped:
        return lax(made.said(), "the bad packet was dropped")
    return failed(made.said(), "its user is not told")


def _packet(*packets: str) -> Send:
    """Return a case whose packet, on a session that polls, has to end it."""

    def case(talk: Talk) -> Finding:
        made = polled(talk)
        made.work(lambda: made.poll is not None)
        poll, made.poll = made.poll, None
        if poll is None:
            raise NotOffered("the client does not poll")
        made.answer(poll, "\x1e".join(packets).encode("latin-1"))
        return _told(made, dropped=True)

    return case


_STATUS: list[tuple[object, ...]] = [
    ("status-404", "404", _opened_with(b"no", status=404)),
    ("status-500-poll", "500 on a poll", _status("GET", 500)),
    ("status-400-post", "400 on a post", _status("POST", 400)),
]
_BAD: list[tuple[object, ...]] = [
    (
        "open-missing-sid",
        "no sid",
        _opened_with(b'0{"upgrades":[],"pingInterval":1,"pingTimeout":1}'),
    ),
    ("open-types", "wrong types", _opened_with(b'0{"sid":1,"upgrades":0,"pingInterval":"x"}')),
    ("open-array", "0[]", _opened_with(b"0[]")),
    ("open-twice", "a second open packet", _packet('0{"sid":"x"}')),
    ("first-message", "a message before open", _opened_with(b"4hello")),
    ("bad-packet", "an unknown packet", _packet("x")),
    ("bad-base64", "b!", _packet("b!")),
    ("bad-utf8", "byte FF", _packet("4\xff")),
    ("pong", "a pong from the server", _packet("3")),
    ("eio3", "the form of revision 3", _opened_with(b'97:0{"sid":"x"}')),
    ("html", "an HTML page", _opened_with(b"<!doctype html><p>hello")),
    ("empty", "an empty body", _opened_with(b"")),
]

CASES: list[Case] = [
    *rows("client.eio", "engineio-v4-handshake-open", "CPASS", CLIENT_JUDGES, _GOOD),
    *rows("client.eio", "engineio-v4-client-status", "CFAIL", CLIENT_JUDGES, _STATUS),
    *rows("client.eio", "engineio-v4-client-status", "CFAIL-S", CLIENT_JUDGES, _BAD),
]
