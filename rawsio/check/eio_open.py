"""``eio.open`` and ``eio.cors``: the Engine.IO handshake, and which pages may use it.

Refusals are judged by their status and by the code in their JSON.
"""

from __future__ import annotations

import json

from rawsio.lazy import Pattern

from .case import Case, Finding, failed, fine, lax, noted, rows
from .eio_wire import (
    SEPARATOR,
    Polling,
    Socket,
    engine_path,
    exchange,
    need_websocket,
    open_data,
)
from .http_wire import show
from .ws_judges import opened, stepwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .case import Judge, Send
    from .http_answers import Answer
    from .talk import Line, Talk

__all__ = ["CASES", "EIO_JUDGES", "error_of", "refused_with"]

EIO_JUDGES: dict[str, Judge] = dict.fromkeys(
    (
        *("EOPEN", "E400", "E413", "E400END", "EEND", "EBAD", "EOK", "EBEAT", "EUP", "EPROBE"),
        *("ORIGIN", "ECHO", "FAIL1009", "TIME", "INFO", "LIM", "STEP"),
    ),
    opened(stepwise),
)
_SID = Pattern(r"[A-Za-z0-9_-]+")
_KEYS = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}


def error_of(answer: Answer) -> int | None:
    """Return the code in an error answer of Engine.IO, ``None`` if there is none."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        return None
    return found.get("code") if isinstance(found, dict) else None


def refused_with(answer: Answer | None, *codes: int) -> Finding:
    """Judge a refusal: 400 and JSON with one of the codes; another 4xx or body is tolerated."""
    if answer is None:
        return failed("no answer")
    got = f"{answer.status} {show(answer.body)}"
    if answer.status < 400 or answer.status >= 500:
        return failed(got, "400 was due")
    if answer.status != 400 or error_of(answer) not in codes:
        return lax(got, f"400 with code {' or '.join(map(str, codes))} is canonical")
    return fine(got)


# What is accepted

_POLL = "EIO=4&transport=polling"


def _opens(query: str = _POLL, *lines: str, more: str = "") -> Send:
    """Return a case whose GET opens a session."""

    def case(talk: Talk) -> Finding:
        path = engine_path(talk) + more
        answer, _wire = exchange(talk, query, path=path, lines=lines)
        if answer is None or answer.status != 200:
            return failed(f"{answer.status if answer else 'no answer'}", "no session was opened")
        text = answer.body.decode("utf-8", "replace").split(SEPARATOR)[0]
        try:
            open_data(text)
        except ValueError as error:
            return failed(str(error))
        return fine(show(answer.body, 120))

    return case


def _websocket(talk: Talk) -> Finding:
    socket = Socket(talk).opened()
    upgrades = socket.open.get("upgrades")
    return fine(str(socket.open)) if upgrades == [] else failed(f"upgrades {upgrades!r}")


def _data(judge: Callable[[dict[str, Any]], str]) -> Send:
    """Return a case about the open packet; ``judge`` says what is wrong with it."""

    def case(talk: Talk) -> Finding:
        data = Polling(talk).open
        wrong = judge(data)
        return failed(str(data), wrong) if wrong else fine(str(data))

    return case


def _keys(data: dict[str, Any]) -> str:
    return "" if set(data) == _KEYS else f"the keys are {sorted(data)}"


def _milliseconds(data: dict[str, Any]) -> str:
    times = data.get("pingInterval"), data.get("pingTimeout")
    good = all(isinstance(t, int) and not isinstance(t, bool) and t > 0 for t in times)
    return "" if good else f"times are {times}"


def _sid(data: dict[str, Any]) -> str:
    sid = data.get("sid")
    good = isinstance(sid, str) and len(sid) >= 16 and _SID.fullmatch(sid)
    return "" if good else f"sid is {sid!r}"


def _upgrades(talk: Talk) -> Finding:
    need_websocket(talk)
    upgrades = Polling(talk).open.get("upgrades")
    return (fine if upgrades == ["websocket"] else failed)(f"upgrades are {upgrades}")


def _max_payload(data: dict[str, Any]) -> str:
    size = data.get("maxPayload")
    return "" if isinstance(size, int) and size > 0 else f"maxPayload is {size!r}"


_ENOUGH = 15.0
"""Seconds after which a slow server has opened enough sessions."""


def _unique(talk: Talk) -> Finding:
    seen: set[object] = set()
    wire = None
    count, began = 1000, talk.time()
    for number in range(count):
        if talk.time() - began > _ENOUGH and number:
            count = number
            break
        answer, wire = exchange(talk, _POLL, wire=wire)
        if answer is None or answer.status != 200:
            return lax(f"{len(seen)} sessions, then {answer.status if answer else 'no answer'}")
        try:
            seen.add(open_data(answer.body.decode().split(SEPARATOR)[0]).get("sid"))
        except ValueError as error:
            return failed(str(error))
    return fine(f"{count} ids") if len(seen) == count else failed(f"{count - len(seen)} ids twice")


def _field(name: str, wanted: str) -> Send:
    def case(talk: Talk) -> Finding:
        value = (Polling(talk).opening.get(name) or "").replace(" ", "").lower()
        if wanted not in value:
            return lax(f"{name}: {value or 'missing'}", f"{wanted} is expected")
        return fine(f"{name}: {value}")

    return case


def _extra_path(talk: Talk) -> Finding:
    answer, _wire = exchange(talk, _POLL, path=engine_path(talk) + "extra")
    if answer is None or answer.status >= 500:
        return failed(f"{answer.status if answer else 'no answer'}")
    return noted(f"{answer.status}")


def _compact(talk: Talk) -> Finding:
    body = Polling(talk).opening.body.split(SEPARATOR.encode())[0]
    return lax(show(body), "blanks in the JSON") if b": " in body else fine(show(body))


_OPEN: list[tuple[str, str, Send]] = [
    ("polling", "a GET opens a session", _opens()),
    ("websocket", "over WebSocket: the first message, no upgrades", _websocket),
    ("keys", "exactly the five keys", _data(_keys)),
    ("milliseconds", "times are whole milliseconds above 0", _data(_milliseconds)),
    ("sid-length", "the sid has 16 characters or more, of URLs' alphabet", _data(_sid)),
    ("sid-unique", "1,000 sessions, no id twice", _unique),
    (
        "content-type",
        "text/plain; charset=UTF-8",
        _field("content-type", "text/plain;charset=utf-8"),
    ),
    ("no-store", "Cache-Control forbids storing", _field("cache-control", "no-store")),
    ("upgrades", 'upgrades are ["websocket"] over polling', _upgrades),
    ("max-payload", "maxPayload is there", _data(_max_payload)),
    ("t-ignored", "t=... makes no difference", _opens(_POLL + "&t=abc123")),
    ("b64", "b64=1 is accepted", _opens(_POLL + "&b64=1")),
    ("order-of-query", "parameters in another order", _opens("transport=polling&EIO=4")),
    ("percent", "EIO=%34", _opens("EIO=%34&transport=polling")),
    ("head-extra", "an extra segment behind the path (recorded)", _extra_path),
    ("no-body-json", "the JSON is compact", _compact),
]

# What is refused


def _refuses(query: str, *codes: int, method: str = "GET", upgrade: bool = False) -> Send:
    """Return a case whose request is refused with one of these codes."""

    def case(talk: Talk) -> Finding:
        lines: tuple[str, ...] = ()
        if upgrade:
            lines = (
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            )
        body = b"4hello" if method in ("POST", "PUT", "PATCH") else None
        answer, wire = exchange(talk, query, method=method, lines=lines, body=body)
        if talk.target.eio3 and 5 in codes and answer is not None and answer.status in (101, 200):
            return lax(f"{answer.status} {show(answer.body)}", "taken for revision 3")
        if answer is not None and answer.status == 101:
            return _refused_late(wire, answer)
        return refused_with(answer, *codes)

    return case


def _refused_late(wire: Line, answer: Answer) -> Finding:
    """Judge a refusal that comes when the WebSocket is open: its close frame, or the end."""
    wire.until_end()
    behind = bytes(wire.heard)[len(answer.head) :]
    got = f"101, then {show(behind)}" if behind else "101"
    if b"HTTP/1." in behind:
        return failed(got, "an HTTP answer inside a WebSocket")
    if behind[:1] == b"\x88" or (wire.ended and not behind):
        return lax(got, "refused behind the 101")
    return failed(got, "to be refused before the 101")


def _eio3(talk: Talk) -> Finding:
    answer, _wire = exchange(talk, "EIO=3&transport=polling")
    if answer is not None and answer.status == 200 and b":0{" in answer.body:
        return fine("revision 3 is served", show(answer.body))
    return refused_with(answer, 5)


def _chosen(talk: Talk) -> Finding:
    sid = "chosenByTheClient0000"
    answer, _wire = exchange(talk, f"{_POLL}&sid={sid}")
    if answer is not None and answer.status == 200:
        return failed(show(answer.body), "a sid of the client's choice was adopted")
    return refused_with(answer, 1)


def _session_put(talk: Talk) -> Finding:
    session = Polling(talk)
    answer, _wire = exchange(talk, session.query, method="PUT", body=b"4x")
    return refused_with(answer, 2)


_WS = "EIO=4&transport=websocket"
_REFUSED: list[tuple[str, str, Send]] = [
    ("eio-3", "EIO=3, unless revision 3 is served", _eio3),
    ("transport-missing", "no transport", _refuses("EIO=4", 0)),
    ("transport-unknown", "transport=abc", _refuses("EIO=4&transport=abc", 0)),
    ("transport-proto", "transport=__proto__", _refuses("EIO=4&transport=__proto__", 0)),
    (
        "transport-twice",
        "transport twice",
        _refuses("EIO=4&transport=polling&transport=websocket", 0, 3),
    ),
    ("sid-unknown", "a sid that nobody has", _refuses(f"{_POLL}&sid=abcdefghijklmnop", 1)),
    ("sid-proto", "sid=__proto__", _refuses(f"{_POLL}&sid=__proto__", 1)),
    ("sid-chosen", "a sid of the client's choice is not adopted", _chosen),
    ("post", "POST without a sid", _refuses(_POLL, 2, method="POST")),
    ("put", "PUT", _refuses(_POLL, 2, method="PUT")),
    ("delete", "DELETE", _refuses(_POLL, 2, method="DELETE")),
    ("patch", "PATCH", _refuses(_POLL, 2, method="PATCH")),
    ("websocket-no-upgrade", "transport=websocket without Upgrade", _refuses(_WS, 3, 0)),
    ("polling-with-upgrade", "transport=polling with Upgrade", _refuses(_POLL, 3, 0, upgrade=True)),
    (
        "ws-sid-unknown",
        "WebSocket with an unknown sid",
        _refuses(f"{_WS}&sid=abcdefghijklmnop", 1, upgrade=True),
    ),
]

# The reference takes all of these for revision 3, where it serves that one.
_NO_REVISION: list[tuple[str, str, Send]] = [
    ("eio-missing", "no EIO", _refuses("transport=polling", 5)),
    ("eio-5", "EIO=5", _refuses("EIO=5&transport=polling", 5)),
    ("eio-abc", "EIO=abc", _refuses("EIO=abc&transport=polling", 5)),
    ("ws-eio-5", "WebSocket with EIO=5", _refuses("EIO=5&transport=websocket", 5, upgrade=True)),
]

# CORS


def _asked(talk: Talk, origin: str, *, method: str = "GET", query: str = _POLL) -> Answer | None:
    own = f"http://{talk.target.authority_of(talk.target.engine_at)}"
    lines: tuple[str, ...] = (f"Origin: {origin.replace('$O', own)}",) if origin else ()
    if method == "OPTIONS":
        lines = (*lines, "Access-Control-Request-Method: POST")
    return exchange(talk, query, method=method, lines=lines)[0]


def _no_origin(talk: Talk) -> Finding:
    answer = _asked(talk, "")
    return fine("200") if answer is not None and answer.status == 200 else failed("not served")


def _foreign(talk: Talk) -> Finding:
    answer = _asked(talk, "https://evil.example")
    if answer is None or answer.status >= 500:
        return failed("no answer" if answer is None else str(answer.status))
    allowed = answer.get("access-control-allow-origin")
    if answer.status == 200:
        return lax(f"200, allow-origin {allowed}", "a foreign page may use a visitor's session")
    return fine(str(answer.status)) if answer.status == 403 else lax(str(answer.status))


def _allowed(talk: Talk) -> Finding:
    answer = _asked(talk, "$O")
    if answer is None or answer.status != 200:
        return failed("its own origin is not served")
    allowed = answer.get("access-control-allow-origin")
    if allowed in (None, "*"):
        return noted(f"allow-origin {allowed}")
    vary = (answer.get("vary") or "").lower()
    return fine(f"{allowed}, Vary {vary}") if "origin" in vary else lax(allowed or "", "no Vary")


def _preflight(talk: Talk) -> Finding:
    answer = _asked(talk, "$O", method="OPTIONS")
    if answer is None or answer.status >= 500:
        return failed("no answer" if answer is None else str(answer.status))
    methods = answer.get("access-control-allow-methods")
    if answer.status == 400 and error_of(answer) == 2:
        return noted("400", "no other origin is allowed, so there is nothing to ask")
    if answer.status not in (200, 204):
        return lax(str(answer.status), "preflights are not answered")
    return fine(f"{answer.status}, methods {methods}") if methods else lax(str(answer.status))


def _star(talk: Talk) -> Finding:
    for origin in ("$O", "https://evil.example"):
        answer = _asked(talk, origin)
        if (
            answer is not None
            and answer.get("access-control-allow-origin") == "*"
            and answer.get("access-control-allow-credentials") == "true"
        ):
            return failed("* with credentials")
    return fine()


def _error_too(talk: Talk) -> Finding:
    good, bad = _asked(talk, "$O"), _asked(talk, "$O", query="EIO=4&transport=abc")
    if good is None or bad is None:
        return failed("no answer")
    name = "access-control-allow-origin"
    if good.get(name) and not bad.get(name):
        return lax(f"{good.get(name)}, in errors none")
    return fine(f"{good.get(name)}, in errors {bad.get(name)}")


def _control(talk: Talk) -> Finding:
    answer = _asked(talk, "http://a\x01b")
    if answer is None:
        return lax("no answer")
    return fine("400") if answer.status in (400, 403) else failed(str(answer.status))


_CORS: list[tuple[str, str, Send]] = [
    ("none", "no Origin: served", _no_origin),
    ("foreign", "a foreign Origin", _foreign),
    ("allowed", "an allowed Origin is echoed, with Vary", _allowed),
    ("preflight", "OPTIONS is answered with methods", _preflight),
    ("star-credentials", "never * with credentials", _star),
    ("error-has-cors", "error answers carry the fields, too", _error_too),
    ("control-char", "Origin with control bytes", _control),
]

CASES: list[Case] = [
    *rows("eio.open", "engineio-v4-handshake-polling", "EOPEN", EIO_JUDGES, _OPEN),
    *rows("eio.open", "engineio-v4-handshake-protocol", "E400", EIO_JUDGES, _REFUSED),
    *rows("eio.open", "engineio-v4-handshake-protocol", "E400-S", EIO_JUDGES, _NO_REVISION),
    *rows("eio.cors", "engineio-v4-http-cors", "ORIGIN", EIO_JUDGES, _CORS),
    *rows(
        "eio.post",
        "engineio-v4-polling-method",
        "E400",
        EIO_JUDGES,
        [
            ("session-method", "PUT with a sid", _session_put),
        ],
    ),
]
