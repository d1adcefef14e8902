"""``client.sio``: a Socket.IO client: namespaces, acknowledgements, attachments, coming back.

What the client has to do is asked for over the connection itself: the event ``do`` tells its driver
to emit, to disconnect, to join a namespace.  Its driver says what its user sees.
"""

from __future__ import annotations

import json
from itertools import pairwise

from .case import Case, Finding, NotOffered, failed, fine, lax, rows
from .client_wire import Host, host
from .client_ws import CLIENT_JUDGES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .case import Send
    from .talk import Talk

__all__ = ["CASES"]


def _joined(talk: Talk, **options: object) -> Host:
    """Return the server of a client that has joined over WebSocket."""
    made = host(talk, **{"transports": ["websocket"], "reconnection": False, **options})
    if not made.join():
        raise NotOffered("the client does not join over WebSocket")
    return made


def _fresh(talk: Talk, **options: object) -> tuple[Host, str]:
    """Return the server of a client that waits for the answer to its CONNECT."""
    made = host(talk, **{"transports": ["websocket"], "reconnection": False, **options})
    packet = made.packet("40", seconds=5.0)
    if packet is None:
        raise NotOffered("the client does not join over WebSocket")
    return made, packet


def _connect(talk: Talk) -> Finding:
    made, packet = _fresh(talk)
    made.work(lambda: False, 0.3)
    early = [p for p in made.inbox if str(p).startswith("42")]
    made.send('40{"sid":"s1"}')
    seen = made.sees("connect")
    if early:
        return failed(f"{early}", "events before the answer")
    return fine(packet) if seen else failed(made.said(), "connect was not raised")


def _auth(talk: Talk) -> Finding:
    _made, packet = _fresh(talk, auth={"token": "1"})
    good = packet == '40{"token":"1"}'
    return fine(packet) if good else failed(packet)


def _no_auth(talk: Talk) -> Finding:
    made, packet = _fresh(talk)
    return made.recorded(packet)


def _namespace(talk: Talk) -> Finding:
    _made, packet = _fresh(talk, namespace="/custom")
    return fine(packet) if packet.startswith("40/custom,") else failed(packet)


def _early_event(talk: Talk) -> Finding:
    made, _packet = _fresh(talk)
    made.send('42["message","early"]', '40{"sid":"s1"}')
    seen = made.sees("message", 1.0, args=["early"])
    recorded = made.recorded(f"not delivered: {made.said()}")
    return fine("delivered") if seen else recorded


def _buffer(talk: Talk) -> Finding:
    made, _packet = _fresh(talk, emitFirst=["out", 1])
    made.send('40{"sid":"s1"}')
    sent = made.packet('42["out",1]')
    return fine() if sent else failed(made.said(), "an emit before CONNECT was lost")


def _offline(volatile: bool) -> Send:  # noqa: FBT001
    def case(talk: Talk) -> Finding:
        made = _joined(talk, reconnection=True, reconnectionDelay=300)
        made.tell(later=["vol" if volatile else "out", 1], volatile=volatile, when="offline")
        made.work(lambda: False, 0.2)
        _lose(made)
        if not made.sees("disconnect") or not made.join(5.0):
            raise NotOffered("the client does not come back")
        sent = made.packet('42["vol"' if volatile else '42["out"', seconds=1.0)
        if volatile:
            return failed(f"{sent}") if sent else fine("not sent")
        return fine(sent) if sent else failed(made.said(), "an emit while offline was lost")

    return case


def _lose(made: Host) -> None:
    """Cut every connection of the client."""
    for line in made.lines:
        line.close(reset=True)
        line.ended = "end"
    made.link = made.poll = None
    made.inbox.clear()


def _ack(talk: Talk) -> Finding:
    made = _joined(talk)
    made.send('4212["ask","x",[1]]')
    answer = made.packet("4312")
    good = answer == '4312["x",[1]]'
    return fine(answer or "") if good else failed(f"{answer}")


def _ack_once(talk: Talk) -> Finding:
    made = _joined(talk)
    made.send('4213["ask-twice","x"]')
    first, second = made.packet("4313"), made.packet("4313", seconds=0.5)
    return fine(f"{first}") if first and second is None else failed(f"{first} {second}")


def _emits(made: Host, **more: object) -> str:
    """Let the client emit with an acknowledgement, and return the id that it asks with."""
    made.tell(emit=["q", 1], ack=1, **more)
    packet = made.packet("42")
    if packet is None:
        raise NotOffered("the driver does not emit with an acknowledgement")
    return packet[2:].partition("[")[0]


def _ack_timeout(talk: Talk) -> Finding:
    made = _joined(talk)
    _emits(made, timeout=0.3)
    told = made.work(
        lambda: any(i.get("event") == "ack" and i.get("error") for i in made.seen), 2.0
    )
    return fine() if told else failed(made.said(), "no error after the time")


def _ack_late(talk: Talk) -> Finding:
    made = _joined(talk)
    id_ = _emits(made, timeout=0.2)
    made.work(lambda: any(i.get("event") == "ack" for i in made.seen), 2.0)
    made.send(f'43{id_}["late"]', '42["message","after"]')
    if not made.sees("message", args=["after"]):
        return failed(made.said(), "a late answer ended the connection")
    acks = [item for item in made.seen if item.get("event") == "ack"]
    return fine(f"{acks}") if len(acks) == 1 else failed(f"{acks}")


def _ack_cut(talk: Talk) -> Finding:
    made = _joined(talk)
    _emits(made, timeout=0)
    _lose(made)
    told = made.work(
        lambda: any(i.get("event") == "ack" and i.get("error") for i in made.seen), 2.0
    )
    return fine() if told else lax(made.said(), "a pending acknowledgement stays open")


def _binary(talk: Talk) -> Finding:
    made = _joined(talk)
    made.send('451-["message",{"_placeholder":true,"num":0}]', b"\0\xff")
    if not made.sees("message"):
        return failed(made.said(), "not received")
    made.tell(binary=True)
    head = made.packet("451-")
    data = made.work(lambda: any(isinstance(p, bytes) for p in made.inbox))
    return fine(head or "") if head and data else failed(f"{head} {made.said()}")


def _binary_ack(talk: Talk) -> Finding:
    made = _joined(talk)
    made.send('451-7["ask",{"_placeholder":true,"num":0}]', b"\1\2")
    head = made.packet("461-7", "437")
    made.work(lambda: b"\1\2" in made.inbox)
    good = head == '461-7[{"_placeholder":true,"num":0}]' and b"\1\2" in made.inbox
    return fine(head or "") if good else failed(f"{head}")


def _order(talk: Talk) -> Finding:
    made = _joined(talk)
    made.send(*(f'42["message",{n}]' for n in range(1000)))
    made.work(lambda: sum(i.get("event") == "message" for i in made.seen) >= 1000, 5.0)
    got = [i["args"][0] for i in made.seen if i.get("event") == "message"]
    if got == list(range(1000)):
        return fine("1,000 in order")
    wrong = next((n for n, (g, w) in enumerate(zip(got, range(1000), strict=False)) if g != w), -1)
    what = f"the one behind {wrong} is {got[wrong]}" if wrong >= 0 else "the others miss"
    return failed(f"{len(got)} of 1,000 events", what)


def _disconnect(talk: Talk) -> Finding:
    made = _joined(talk)
    made.tell(disconnect=True)
    said = made.packet("41", seconds=2.0)
    closed = made.work(lambda: made.gone, 3.0)
    if closed:
        return fine("41, then closed") if said else lax("closed without 41")
    return failed(made.said(), "the connection stays")


def _server_disconnect(talk: Talk) -> Finding:
    made = _joined(talk, reconnection=True, reconnectionDelay=100)
    made.send("41")
    seen = made.sees("disconnect")
    made.inbox.clear()
    back = made.packet("40", seconds=1.0)
    if back:
        return failed(back, "it comes back by itself")
    return fine(made.said()) if seen else failed(made.said(), "its user is not told")


def _two(talk: Talk) -> Finding:
    made = _joined(talk)
    made.tell(connect="/a")
    packet = made.packet("40/a,")
    good = packet is not None and made.connections == 1
    return fine(packet or "") if good else failed(made.said())


def _reconnect(talk: Talk) -> Finding:
    made = _joined(talk, reconnection=True, reconnectionDelay=100)
    _lose(made)
    back = made.join(5.0)
    return fine(made.said()) if back else failed(made.said(), "it does not come back")


def _attempts(made: Host, count: int, seconds: float) -> list[float]:
    """Refuse every attempt, and return when they came."""
    times: list[float] = []

    def respond(asked: object) -> bool:
        times.append(made.talk.time())
        line = made.requests[-1].line
        line.close()
        line.ended = "end"
        return True

    made.respond = respond
    _lose(made)
    made.work(lambda: len(times) >= count, seconds)
    return times


def _backoff(talk: Talk) -> Finding:
    made = _joined(talk, reconnection=True, reconnectionDelay=200, reconnectionDelayMax=1600)
    times = _attempts(made, 4, 10.0)
    gaps = [later - sooner for sooner, later in pairwise(times)]
    said = ", ".join(f"{gap:.2f}" for gap in gaps)
    if len(gaps) < 3:
        return failed(said, "it gave up")
    bounds = [(0.4, 0.1), (0.8, 0.2), (1.6, 0.4)]
    good = all(
        low <= gap <= 1.5 * high + 0.4 for gap, (high, low) in zip(gaps, bounds, strict=True)
    )
    return fine(said) if good else lax(said, "0.5 to 1.5 times 0.4, 0.8, 1.6 s are canonical")


def _limited(talk: Talk) -> Finding:
    made = _joined(talk, reconnection=True, reconnectionDelay=50, reconnectionAttempts=2)
    times = _attempts(made, 4, 2.5)
    return fine(f"{len(times)}") if len(times) == 2 else failed(f"{len(times)} attempts, 2 allowed")


def _refused(data: str, message: str) -> Send:
    def case(talk: Talk) -> Finding:
        made, _packet = _fresh(talk, reconnection=True, reconnectionDelay=50)
        made.send(f"44{data}")
        seen = made.sees("connect_error", 2.0)
        made.inbox.clear()
        again = made.packet("40", seconds=0.7)
        told = [i.get("message") for i in made.seen if i.get("event") == "connect_error"]
        if again:
            return failed(made.said(), "it asks again by itself")
        if not seen:
            return failed(made.said(), "its user is not told")
        if message in str(told):
            return fine(f"{told}")
        lost = f"the message was {message!r}"
        return lax(f"{told}", lost) if data.startswith('"') else failed(f"{told}", lost)

    return case


def _recovery(*, event: bool) -> Send:
    def case(talk: Talk) -> Finding:
        made, _packet = _fresh(talk, reconnection=True, reconnectionDelay=50)
        made.send('40{"sid":"s1","pid":"p1"}')
        made.sees("connect")
        if event:
            made.send('42["message","x","offset1"]')
            made.sees("message")
        _lose(made)
        packet = made.packet("40", seconds=4.0)
        if packet is None:
            raise NotOffered("the client does not come back")
        sent = json.loads(packet[2:] or "{}")
        if event and not sent:
            raise NotOffered("the client knows no recovery")
        if event:
            good = sent == {"pid": "p1", "offset": "offset1"}
            return fine(packet) if good else failed(packet)
        good = "offset" not in sent
        return fine(packet) if good else failed(packet, "no event has come yet")

    return case


def _retries(talk: Talk) -> Finding:
    made = _joined(talk, retries=2, ackTimeout=300)
    made.tell(emit=["a", 1])
    made.tell(emit=["b", 2])
    first = made.packet("42")
    second = made.packet("42", seconds=0.15)
    if first is None:
        raise NotOffered("the driver does not emit")
    id_ = first[2:].partition("[")[0]
    if not id_:
        raise NotOffered("the client knows no retries")
    if second is not None and '"b"' in second:
        return failed(f"{first} {second}", "two in flight")
    made.send(f"43{id_}[]")
    after = made.packet("42", seconds=1.0)
    good = after is not None and '"b"' in after
    return fine(f"{first} {after}") if good else failed(f"{after}")


def _resends(talk: Talk) -> Finding:
    made = _joined(talk, retries=2, ackTimeout=200)
    made.tell(emit=["a", 1])
    first = made.packet("42")
    if first is None or first.startswith("42["):
        raise NotOffered("the client knows no retries")
    again = made.packet("42", seconds=1.0)
    return fine(f"{again}") if again and '"a"' in again else failed(f"{again}", "not resent")


def _catch_all(talk: Talk) -> Finding:
    made = _joined(talk)
    made.send('42["nobody-listens",1]')
    seen = made.sees("any", 1.0)
    recorded = made.recorded("the driver has no catch-all")
    return fine() if seen else recorded


def _many_attachments(talk: Talk) -> Finding:
    made = _joined(talk)
    made.tell(attachments=12)
    packet = made.packet("45", seconds=1.0)
    return made.recorded(f"{packet:.40}" if packet else f"refused: {made.said()}")


def _jitter(talk: Talk) -> Finding:
    gaps: list[float] = []
    for _ in range(3):
        made = _joined(talk, reconnection=True, reconnectionDelay=200)
        began = talk.time()
        times = _attempts(made, 1, 3.0)
        gaps += [time - began for time in times]
        for line in made.lines:
            line.close()
    said = ", ".join(f"{gap:.3f}" for gap in gaps)
    spread = max(gaps, default=0.0) - min(gaps, default=0.0)
    return fine(said) if len(gaps) == 3 and spread > 0.005 else lax(said, "no jitter")


def _sends(name: str, *heads: str) -> Send:
    """Return a case that records how a value that JSON cannot say is sent."""

    def case(talk: Talk) -> Finding:
        made = _joined(talk)
        made.tell(special=name)
        packet = made.packet("42", seconds=1.0)
        recorded = made.recorded(f"refused: {made.said()}")
        if packet is None:
            return recorded
        good = not heads or any(head in packet for head in heads)
        return fine(packet) if good else failed(packet)

    return case


_GOOD: list[tuple[object, ...]] = [
    ("connect", "CONNECT first, and nothing before its answer", _connect),
    ("auth", "auth in CONNECT", _auth),
    ("auth-no-data", "no auth (recorded)", _no_auth),
    ("namespace", "the namespace of the URL", _namespace),
    ("early-event", "an event before the answer (recorded)", _early_event),
    ("buffer", "an emit before CONNECT is sent behind it", _buffer),
    ("buffer-offline", "an emit while offline is sent later", _offline(volatile=False)),
    ("volatile", "a volatile one is not", _offline(volatile=True)),
    ("ack", "an event is acknowledged with its id", _ack),
    ("ack-once", "acknowledged twice: one answer", _ack_once),
    ("ack-timeout", "no answer: an error in time", _ack_timeout),
    ("ack-late", "a late answer is ignored", _ack_late),
    ("ack-cut", "cut: pending acknowledgements fail", _ack_cut),
    ("binary", "binary both ways", _binary),
    ("binary-ack", "a binary acknowledgement", _binary_ack),
    ("order", "1,000 events in order", _order),
    ("disconnect", "disconnect(): 41, then closed", _disconnect),
    ("server-disconnect", "41: it does not come back by itself", _server_disconnect),
    ("two-namespaces", "one connection, two CONNECTs", _two),
    ("reconnect", "it comes back after a cut", _reconnect),
    ("backoff", "the delays grow", _backoff),
    ("backoff-jitter", "three clients come back at different times", _jitter),
    ("attempts", "reconnectionAttempts is kept", _limited),
    (
        "refused",
        "CONNECT_ERROR: told, no loop",
        _refused('{"message":"no","data":{"code":7}}', "no"),
    ),
    ("recovery", "pid and offset are sent again", _recovery(event=True)),
    ("recovery-no-offset", "no event yet: no offset", _recovery(event=False)),
    ("retries", "retries: one in flight, in order", _retries),
    ("retries-timeout", "resent after ackTimeout", _resends),
    ("catch-all", "unknown events reach the catch-all", _catch_all),
    ("11-attachments", "12 attachments (recorded)", _many_attachments),
    ("surrogates", "a lone surrogate (recorded)", _sends("surrogate")),
    ("nan-sent", "NaN is sent as null or refused", _sends("nan", "null")),
]


def _bad(*packets: str | bytes) -> Send:
    """Return a case whose packets have to end the connection, and reach nobody."""

    def case(talk: Talk) -> Finding:
        made = _joined(talk)
        made.sees("connect")
        made.send(*packets, '42["message","after"]')
        ended = made.work(lambda: made.gone, 1.5)
        events = [item for item in made.seen if item.get("event") == "message"]
        if any(item.get("args") != ["after"] for item in events):
            return failed(f"{events!r:.80}", "a bad packet reached a handler")
        if ended or any(item.get("event") == "disconnect" for item in made.seen):
            return fine(made.said())
        if events:
            return lax(made.said(), "the bad packet was dropped")
        return failed(made.said(), "neither ended nor going on")

    return case


def _no_sid(talk: Talk) -> Finding:
    made, _packet = _fresh(talk)
    made.send("40")
    told = made.sees("connect_error", 1.5)
    return fine(made.said()) if told else lax(made.said(), "its user is not told of a v2 server")


def _never(talk: Talk) -> Finding:
    made = _joined(talk)
    made.send('451-["message",{"_placeholder":true,"num":0}]')
    began = talk.time()
    ended = made.work(lambda: made.gone, 60.0)
    return made.recorded(f"{'ended' if ended else 'open'} after {talk.time() - began:.0f} s")


_PLACE = '{"_placeholder":true,"num":%d}'
_ELEVEN = ",".join(_PLACE % n for n in range(11))
_BAD: list[tuple[object, ...]] = [
    ("bad-json", "42[", _bad("42[")),
    ("event-object", "42{}", _bad("42{}")),
    ("name-null", "42[null]", _bad("42[null]")),
    ("reserved", "a reserved name", _bad('42["connect"]')),
    ("reserved-disconnect", "another one", _bad('42["disconnect"]')),
    ("type-9", "49", _bad("49")),
    ("empty", "an empty message", _bad("4")),
    ("binary-unexpected", "binary without a packet", _bad(b"x")),
    (
        "text-in-binary",
        "text while attachments miss",
        _bad(f'451-["message",{_PLACE % 0}]', '42["message","between"]'),
    ),
    ("num", "num out of range", _bad(f'451-["message",{_PLACE % 5}]', b"x")),
    ("count-11", "11 attachments", _bad(f'4511-["message",{_ELEVEN}]', *[b"x"] * 11)),
    ("deep", "100,000 levels", _bad('42["message",' + "[" * 100_000 + "]" * 100_000 + "]")),
    ("nan", "NaN", _bad('42["message",NaN]')),
    ("ack-object", "430{}", _bad("430{}")),
    ("disconnect-payload", "41{}", _bad("41{}")),
]

CASES: list[Case] = [
    *rows("client.sio", "socketio-v5-connect-answer", "CPASS", CLIENT_JUDGES, _GOOD),
    *rows(
        "client.sio",
        "socketio-v5-connect-answer",
        "CPASS-S",
        CLIENT_JUDGES,
        [("string-error", "CONNECT_ERROR with a string", _refused('"no"', "no"))],
    ),
    *rows(
        "client.sio",
        "socketio-v5-event-array",
        "CFAIL-S",
        CLIENT_JUDGES,
        [("connect-no-sid", "CONNECT without a sid", _no_sid)],
    ),
    *rows(
        "client.sio",
        "socketio-v5-event-array",
        "CFAIL",
        CLIENT_JUDGES,
        [
            *_BAD,
            ("attachment-never", "an attachment never comes", _never, "slow"),
        ],
    ),
]
