"""``sio.event``, ``sio.ack``, ``sio.binary``: events, acknowledgements and attachments.

What is wrong is followed by a good event, whose answer shows a server that goes on.
"""

from __future__ import annotations

import json

from .case import Case, Finding, failed, fine, lax, noted, rows
from .sio_connect import SIO_JUDGES
from .sio_wire import Client, bad, client, dumps, event, need

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .case import Send
    from .eio_wire import Packet
    from .talk import Talk

__all__ = ["CASES"]

_PLACE = '{"_placeholder":true,"num":%d}'


def _strip(args: list[Any] | None, count: int) -> list[Any] | None:
    """Return arguments without the offset that a server with recovery adds."""
    if args is not None and len(args) == count + 1 and isinstance(args[-1], str):
        return args[:-1]
    return args


def _echo(*args: object, raw: str = "", namespace: str = "", lenient: bool = False) -> Send:
    """Return a case whose arguments have to come back; ``raw`` is the packet in another form."""

    def case(talk: Talk) -> Finding:
        made = client(talk, namespace or "/")
        made.send(raw or event("message", *args, namespace=namespace))
        back = _strip(made.event("message-back", namespace), len(args))
        if back == list(args):
            return fine(f"{back!r:.80}")
        if lenient and back is None and made.closed(0.2):
            return lax("the connection was closed", "refused")
        return failed(f"{back!r:.80}", f"{args!r:.80} was sent")

    return case


def _alive(*packets: str, what: str = "") -> Send:
    """Return a case whose packets crash nothing; what becomes of them is recorded."""

    def case(talk: Talk) -> Finding:
        made = client(talk)
        made.send(*packets, event("message", "after"))
        back = None
        while back != ["after"]:
            back = _strip(made.event("message-back"), 1)
            if back is None:
                break
        if back is not None:
            return noted(what or "the connection goes on")
        return noted("closed") if made.closed(0.2) else failed("silence")

    return case


def _silence(talk: Talk) -> Finding:
    made = client(talk)
    made.send(event("nobody-listens", 1), event("message", "after"))
    back = _strip(made.event("message-back"), 1)
    strange = [p for p in made.kept if p != "2" and not str(p).startswith('42["auth"')]
    return fine() if back == ["after"] and not strange else failed(f"{back!r} {made.kept!r:.60}")


def _burst(count: int, *, polling: bool = False) -> Send:
    def case(talk: Talk) -> Finding:
        made = client(talk, polling=polling)
        made.send(*(event("message", number) for number in range(count)))
        found = []
        for _ in range(count):
            back = _strip(made.event("message-back"), 1)
            if back is None:
                break
            found += back
        if found == list(range(count)):
            return fine(f"{count} events in order")
        return failed(f"{len(found)} of {count}: {found!r:.60}", "lost or reordered")

    return case


def _duplicate_keys(talk: Talk) -> Finding:
    made = client(talk)
    made.send('42["message",{"a":1,"a":2}]')
    back = _strip(made.event("message-back"), 1)
    return noted(f"{back!r}" if back is not None else "refused")


def _infinite(talk: Talk) -> Finding:
    made = client(talk)
    made.send(event("message", 1e308, 5e-324, -0.0))
    back = _strip(made.event("message-back"), 3)
    return fine(f"{back!r}") if back == [1e308, 5e-324, -0.0] else failed(f"{back!r}")


_TYPES = (None, True, False, 0, -1, 1.5, "s", [1, [2]], {"a": {"b": None}})
_ECHOES: list[tuple[object, ...]] = [
    ("text", "a text argument", _echo("hi")),
    ("no-args", "a name only", _echo()),
    ("types", "all types of JSON", _echo(*_TYPES)),
    ("unicode", "text beyond ASCII", _echo("\U0001f600 \u2028 \u00fc")),
    ("big-int", "2**53", _echo(2**53)),
    ("float", "1e308, 5e-324, -0.0", _infinite),
    ("empty-name", "an empty name", _alive('42["",1]')),
    ("number-name", "a number as name", _alive("42[1]")),
    ("proto-name", "names of internals", _alive('42["__proto__",1]', '42["constructor",1]')),
    ("custom-ns", "in /custom", _echo("hi", namespace="/custom")),
    ("burst-100", "100 events keep their order", _burst(100)),
    ("burst-1000-polling", "1,000 in one POST", _burst(1000, polling=True)),
    ("big", "a string of 900 KB", _echo("x" * 900_000)),
    ("spaces", "blanks inside the JSON", _echo("hi", raw='42[ "message" , "hi" ]')),
    ("escapes", "an escaped U+0000", _echo("a\0b", raw='42["message","a\\u0000b"]')),
    ("dup-keys", "duplicate keys (recorded)", _duplicate_keys),
    ("unknown-event", "nobody listens: silence", _silence),
    ("key-proto", "a key __proto__ comes back", _echo({"__proto__": {"x": 1}}, lenient=True)),
]

_BAD: list[tuple[object, ...]] = [
    ("object", "42{}", bad("42{}")),
    ("empty-array", "42[]", bad("42[]")),
    ("null", "42null", bad("42null")),
    ("string", '42"a"', bad('42"a"')),
    ("number", "421", bad("421")),
    ("nothing", "42", bad("42")),
    ("name-null", "42[null]", bad("42[null]")),
    ("name-object", "42[{}]", bad("42[{}]")),
    ("name-array", "42[[]]", bad("42[[]]")),
    ("name-bool", "42[true]", bad("42[true]")),
    ("bad-json", '42abc["x"]', bad('42abc["x"]')),
    ("cut-json", '42["a"', bad('42["message"')),
    ("trailing", '42["a"]x', bad('42["message","x"]x')),
    ("single-quote", "42['a']", bad("42['message']")),
    ("trailing-comma", '42["a",]', bad('42["message",]')),
    ("nan", "NaN", bad('42["message",NaN]')),
    ("infinity", "-Infinity", bad('42["message",-Infinity]')),
    ("comment", "a comment inside", bad('42["message",/* x */1]')),
    ("bom", "FEFF before the array", bad('42\ufeff["message","x"]')),
    ("depth", "100,000 levels", bad('42["message",' + "[" * 100_000 + "]" * 100_000 + "]")),
    ("dup-bracket", '42[["a"]', bad('42[["message"]')),
]
_RESERVED = (
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
)

# Acknowledgements


def _acked(id_: str, *args: object, namespace: str = "", wanted: str = "") -> Send:
    """Return a case whose event has to be acknowledged with its id and its arguments."""

    def case(talk: Talk) -> Finding:
        made = client(talk, namespace or "/")
        made.send(event("message-with-ack", *args, namespace=namespace, id_=id_))
        place = f"{namespace}," if namespace else ""
        head = f"43{place}{wanted or id_}"
        answer = made.starts(f"43{place}")
        if answer is None:
            return failed("no acknowledgement")
        good = answer.startswith(head + "[") and json.loads(answer[len(head) :]) == list(args)
        return fine(answer) if good else failed(answer, f"{head}{dumps(list(args))} was due")

    return case


def _binary_ack(talk: Talk) -> Finding:
    made = client(talk)
    made.send(f'451-789["message-with-ack",{_PLACE % 0}]', b"\1\2\3")
    answer = made.starts("461-789[", "43789[")
    data = made.receive()
    if answer is None or not answer.startswith("461-789[") or data != b"\1\2\3":
        return failed(f"{answer!r} {data!r}")
    return fine(answer)


def _parallel(talk: Talk) -> Finding:
    made = client(talk)
    made.send(*(event("message-with-ack", n, id_=str(n)) for n in range(100)))
    seen = set()
    for _ in range(100):
        answer = made.starts("43")
        if answer is None:
            break
        id_, _, rest = answer[2:].partition("[")
        if rest != f"{id_}]":
            return failed(answer, "the wrong answer for its id")
        seen.add(id_)
    return fine("100 answers") if len(seen) == 100 else failed(f"{len(seen)} of 100 answers")


def _same_twice(talk: Talk) -> Finding:
    made = client(talk)
    made.send(*(event("message-with-ack", n, id_="5") for n in range(2)))
    answers = [made.starts("435["), made.starts("435[")]
    return fine(f"{answers}") if answers == ["435[0]", "435[1]"] else failed(f"{answers}")


def _leading_zero(talk: Talk) -> Finding:
    made = client(talk)
    made.send(event("message-with-ack", "x", id_="007"))
    answer = made.starts("43")
    return noted(f"{answer}" if answer else "refused")


def _question(made: Client) -> str | None:
    made.send(event("call-me", "why"))
    packet = made.until(lambda p: isinstance(p, str) and '["question"' in p)
    return str(packet)[2:].partition("[")[0] if packet is not None else None


def _call_me(talk: Talk) -> Finding:
    need(talk, "extended")
    made = client(talk)
    id_ = _question(made)
    if not id_:
        return failed("no question with an id")
    made.send(f'43{id_}["because"]')
    answer = made.event("answer")
    good = answer is not None and "because" in dumps(answer)
    return fine(f"{answer}") if good else failed(f"{answer}")


_ACKS: list[tuple[object, ...]] = [
    ("zero", "id 0", _acked("0", "x")),
    ("456", "id 456", _acked("456", 1, "2", {"3": [False]})),
    ("max", "id 2**53 - 1", _acked(str(2**53 - 1), "x")),
    ("custom", "in /custom", _acked("7", "x", namespace="/custom")),
    ("binary", "a binary acknowledgement", _binary_ack),
    ("no-args", "an acknowledgement of nothing", _acked("8")),
    ("parallel", "100 ids at once", _parallel),
    ("same-id-twice", "the same id in two events: two answers", _same_twice),
    ("leading-zero", "id 007 (recorded)", _leading_zero),
    ("call-me", "the server's question is answered", _call_me),
]


def _unasked(packet: str) -> Send:
    def case(talk: Talk) -> Finding:
        made = client(talk)
        made.send(packet, event("message", "after"))
        back = _strip(made.event("message-back"), 1)
        return fine("ignored") if back == ["after"] else lax(f"{back}", "the connection ended")

    return case


def _counted_once(namespace: str = "", *, late: bool = False) -> Callable[[Talk], Finding]:
    def case(talk: Talk) -> Finding:
        need(talk, "extended")
        made = client(talk)
        if namespace:
            made.join(namespace)
        id_ = _question(made)
        if not id_:
            return failed("no question with an id")
        if late:
            talk.world.pause(6.0)
        place = f"{namespace}," if namespace else ""
        made.send(f'43{place}{id_}["first"]', f'43{place}{id_}["second"]')
        seen = [made.event("answer", seconds=0.7), made.event("answer", seconds=0.4)]
        texts = [dumps(item) for item in seen if item is not None]
        if namespace or late:
            counted = any("first" in text for text in texts)
            return failed(f"{texts}", "it counted") if counted else fine(f"{texts}")
        return fine(f"{texts}") if len(texts) == 1 else failed(f"{texts}", "one answer counts")

    return case


_UNKNOWN: list[tuple[object, ...]] = [
    ("unsolicited", "an answer that nobody waits for", _unasked("430[]")),
    ("repeated", "an answer twice: once counted", _counted_once()),
    ("wrong-namespace", "an answer in another namespace", _counted_once("/custom")),
    ("late", "an answer behind the time-out", _counted_once(late=True), "slow"),
]
_BAD_ACK: list[tuple[object, ...]] = [
    ("too-big", "id 10**30", bad(f'42{10**30}["message-with-ack"]')),
    ("negative", '42-1["a"]', bad('42-1["message-with-ack"]')),
    ("payload-object", "430{}", bad("430{}")),
    ("payload-none", "430", bad("430")),
    ("payload-null", "430null", bad("430null")),
    ("float-id", '421.5["a"]', bad('421.5["message-with-ack"]')),
    ("unicode-id", "an Arabic-Indic id", bad('42\u0661["message-with-ack"]')),
]


def _never_answered(talk: Talk) -> Finding:
    need(talk, "extended")
    made = client(talk)
    count = sum(_question(made) is not None for _ in range(10))
    made.drop()
    return noted(f"{count} questions left open at the end of the connection")


# Attachments


def _attached(
    text: str, *data: bytes, count: int | None = None, namespace: str = "", polling: bool = False
) -> Send:
    """Return a case whose event with attachments has to come back; ``text`` is its arguments."""

    def case(talk: Talk) -> Finding:
        made = client(talk, namespace or "/", polling=polling)
        place = f"{namespace}," if namespace else ""
        number = len(data) if count is None else count
        made.send(f'45{number}-{place}["message",{text}]', *data)
        return _judge_attached(made, text, data, place)

    return case


def _judge_attached(made: Client, text: str, data: tuple[bytes, ...], place: str) -> Finding:
    head = made.starts(f'45{len(data)}-{place}["message-back"', f'42{place}["message-back"')
    if head is None:
        return failed(f"{made.kept!r:.80}", "the event did not come back")
    if head.startswith("42"):
        return failed(head, "the attachments were lost")
    found = [made.receive() for _ in data]
    args = _strip(json.loads(head[head.index("[") :])[1:], len(json.loads(f"[{text}]")))
    filled, wanted = _filled(args, found), _filled(json.loads(f"[{text}]"), list(data))
    return fine(head) if filled == wanted else failed(head, f"{found!r:.60}")


def _filled(value: Any, data: list[Any]) -> Any:
    if isinstance(value, list):
        return [_filled(item, data) for item in value]
    if isinstance(value, dict):
        if value.get("_placeholder") is True:
            number = value.get("num")
            return data[number] if isinstance(number, int) and number < len(data) else None
        return {key: _filled(item, data) for key, item in value.items()}
    return value


def _shared(talk: Talk) -> Finding:
    made = client(talk)
    made.send(f'451-["message",{_PLACE % 0},{_PLACE % 0}]', b"\1")
    packet = made.until(lambda p: isinstance(p, str) and "message-back" in p)
    if packet is None:
        return lax("closed", "refused") if made.closed(0.2) else failed("silence")
    return noted(str(packet))


def _interleaved(talk: Talk) -> Finding:
    made = client(talk)
    made.join("/custom")
    made.send(f'451-["message",{_PLACE % 0}]', b"\1", event("message", "x", namespace="/custom"))
    first = made.until(lambda p: isinstance(p, str) and "message-back" in p)
    second = made.until(lambda p: isinstance(p, str) and "message-back" in p)
    seen = {str(first)[:3], str(second)[:3]}
    said = f"{first!r} {second!r}"
    return fine(said) if seen == {"451", "42/"} else failed(said)


def _in_text(talk: Talk) -> Finding:
    made = client(talk)
    made.send(event("message", {"_placeholder": True, "num": 0}))
    back = _strip(made.event("message-back"), 1)
    if back == [{"_placeholder": True, "num": 0}]:
        return fine("an object")
    if back is None and made.closed(0.2):
        return lax("closed", "refused")
    return failed(f"{back!r}")


_ONE = _PLACE % 0
_ATTACHED: list[tuple[object, ...]] = [
    ("one", "one attachment", _attached(_ONE, b"\1\2\3")),
    ("two", "two", _attached(f"{_ONE},{_PLACE % 1}", b"\1", b"\2\3")),
    (
        "ten",
        "ten",
        _attached(",".join(_PLACE % n for n in range(10)), *(bytes([n]) for n in range(10))),
    ),
    ("nested", "in an object in an array", _attached(f'[{{"a":{_ONE}}}]', b"\1")),
    ("empty", "an empty one", _attached(_ONE, b"")),
    ("shared", "one placeholder used twice (recorded)", _shared),
    ("order", "num 1 before num 0", _attached(f"{_PLACE % 1},{_ONE}", b"\1", b"\2")),
    ("polling", "over polling", _attached(_ONE, b"\0\xff", polling=True)),
    ("custom", "in /custom", _attached(_ONE, b"\1", namespace="/custom")),
    ("big", "900 KB", _attached(_ONE, bytes(900_000))),
    ("interleaved-ns", "an event of /custom directly behind", _interleaved),
    ("placeholder-in-text", "a placeholder where nothing is attached", _in_text),
]


def _bad_binary(count: str, text: str, *data: Packet) -> Send:
    return bad(f'45{count}["message",{text}]', *data)


def _unused(talk: Talk) -> Finding:
    made = client(talk)
    made.send('451-["message",1]', b"x", event("message", "after"))
    back = _strip(made.event("message-back"), 1)
    if back is None:
        return noted("closed") if made.closed(0.2) else failed("silence")
    return noted("delivered" if back == [1] else "dropped")


_ELEVEN = ",".join(_PLACE % n for n in range(11))
_BAD_BINARY: list[tuple[object, ...]] = [
    ("zero", "450-", _bad_binary("0-", "1")),
    ("eleven", "11 attachments", _bad_binary("11-", _ELEVEN, *[b"x"] * 11)),
    ("huge", "4599999999-", _bad_binary("99999999-", _ONE, b"x")),
    ("float", "451.0-", _bad_binary("1.0-", _ONE, b"x")),
    ("exp", "451e0-", _bad_binary("1e0-", _ONE, b"x")),
    ("negative", "45-1-", _bad_binary("-1-", _ONE, b"x")),
    ("no-dash", "no dash behind the count", _bad_binary("1", _ONE, b"x")),
    ("no-count", "no count", _bad_binary("-", _ONE, b"x")),
    ("num-missing", "a placeholder without num", _bad_binary("1-", '{"_placeholder":true}', b"x")),
    ("num-negative", "num -1", _bad_binary("1-", _PLACE % -1, b"x")),
    ("num-big", "num = count", _bad_binary("1-", _PLACE % 1, b"x")),
    ("num-float", "num 0.5", _bad_binary("1-", '{"_placeholder":true,"num":0.5}', b"x")),
    ("num-string", 'num "0"', _bad_binary("1-", '{"_placeholder":true,"num":"0"}', b"x")),
    ("num-bool", "num true", _bad_binary("1-", '{"_placeholder":true,"num":true}', b"x")),
    ("text-instead", "a text packet while attachments miss", _bad_binary("1-", _ONE)),
    ("connect-instead", "a CONNECT while they miss", _bad_binary("1-", _ONE, "40/custom,")),
    ("unexpected", "binary without a packet", bad(b"x")),
    ("one-more", "one attachment too many", bad(b"x", b"y")),
    ("unused", "count 1, no placeholder (recorded: no rule forbids it)", _unused),
]


def _never_comes(talk: Talk) -> Finding:
    made = client(talk)
    made.send(f'451-["message",{_ONE}]')
    client(talk)  # raises Refused where nobody else is served meanwhile
    began = talk.time()
    ended = made.closed(120.0)
    took = talk.time() - began
    return fine(f"cut after {took:.0f} s") if ended else noted(f"open for {took:.0f} s")


def _total(talk: Talk) -> Finding:
    made = client(talk)
    text = ",".join(_PLACE % n for n in range(10))
    made.send(f'4510-["message",{text}]', *[bytes(900_000)] * 10)
    packet = made.until(lambda p: isinstance(p, str) and "message-back" in p, 10.0)
    if packet is None and not made.closed(0.5):
        return failed("silence")
    return noted("9 MB in 10 attachments come back" if packet else "refused")


def _expansion(talk: Talk) -> Finding:
    made = client(talk)
    text = ",".join([_ONE] * 20_000)
    made.send(f'451-["message",{text}]', bytes(10_000))
    packet = made.until(lambda p: isinstance(p, str) and "message-back" in p, 10.0)
    if packet is None:
        return fine("refused") if made.closed(0.5) else failed("silence")
    return lax(f"{len(packet)} bytes", "20,000 placeholders for one attachment are filled")


_ORDER, _COUNT = "socketio-v5-event-order", "socketio-v5-binary-count"
CASES: list[Case] = [
    *rows("sio.event", "socketio-v5-event-array", "SBAD", SIO_JUDGES, _BAD),
    *rows(
        "sio.event",
        "socketio-v5-event-reserved",
        "SBAD",
        SIO_JUDGES,
        [
            (name, f"the reserved name {name}", bad(dumps([name]).join(["42", ""])))
            for name in _RESERVED
        ],
    ),
    *rows("sio.event", _ORDER, "SECHO", SIO_JUDGES, _ECHOES),
    *rows("sio.ack", "socketio-v5-ack-id", "SACK", SIO_JUDGES, _ACKS),
    *rows("sio.ack", "socketio-v5-ack-unknown", "SILENT", SIO_JUDGES, _UNKNOWN),
    *rows("sio.ack", "socketio-v5-format-id", "SBAD", SIO_JUDGES, _BAD_ACK),
    *rows(
        "sio.ack",
        "socketio-v5-ack-array",
        "INFO",
        SIO_JUDGES,
        [
            ("never", "questions that are never answered", _never_answered),
        ],
    ),
    *rows("sio.binary", "socketio-v5-format-binary", "SECHO", SIO_JUDGES, _ATTACHED),
    *rows("sio.binary", _COUNT, "SBAD", SIO_JUDGES, _BAD_BINARY),
    *rows(
        "sio.binary",
        "socketio-v5-binary-time",
        "TIME",
        SIO_JUDGES,
        [
            ("never", "an attachment never comes", _never_comes, "slow"),
        ],
    ),
    *rows(
        "sio.binary",
        "socketio-v5-binary-size",
        "LIM",
        SIO_JUDGES,
        [
            ("total", "10 attachments of 900 KB", _total, "limit", "serial"),
        ],
    ),
    *rows(
        "sio.binary",
        "socketio-v5-binary-expansion",
        "LIM",
        SIO_JUDGES,
        [
            ("expansion", "20,000 placeholders for one attachment", _expansion, "limit", "serial"),
        ],
    ),
]
