r"""Recordings for the tools of browsers: HAR 1.2, with WebSocket messages as Chrome has them.

An HTTP exchange becomes an entry when its answer is complete; the messages of a WebSocket belong to
the entry of its 101.  A HAR is one JSON object, so entries wait in a temporary file, and
:meth:`Har.close` writes the whole.  ``_engineio`` and ``_socketio`` are our own.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections import deque

from rawsio.explain.websocket import is_text
from rawsio.http.messages import Request, Response
from rawsio.layer import Role
from rawsio.net.output import Output

from .jsonl import compact, plain_packet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

    from rawsio.explain.conversation import Item

__all__ = ["Exchanges", "Har"]

MESSAGES = 100_000
"""Most messages of one WebSocket that are kept."""
_PIECE = 1 << 20


class Har:
    """Collects entries; writes them when it is closed.

    ``most`` bounds the bytes of all entries; what comes later is counted, not kept.
    """

    def __init__(
        self,
        path: str,
        failed: Callable[[str], object],
        *,
        most: int = 1_000_000_000,
    ) -> None:
        from tempfile import TemporaryFile

        self._path = path
        self._failed = failed
        self._most = most
        self._size = self._count = self._dropped = 0
        self._entries: IO[bytes] | None = None
        try:
            self._entries = TemporaryFile()  # noqa: SIM115 - it lives as long as the recording
        except OSError as error:
            self._fail(error)

    def add(self, entry: dict[str, Any]) -> None:
        """Keep an entry."""
        import json

        line = json.dumps(entry).encode()
        if self._entries is None or self._size + len(line) > self._most:
            self._dropped += 1
            return
        try:
            self._entries.write((b",\n" if self._count else b"") + line)
        except OSError as error:
            self._fail(error)
            return
        self._size += len(line)
        self._count += 1

    def close(self) -> None:
        """Write the file."""
        from rawsio import __version__

        if self._entries is None:
            return
        head = '{"log":{"version":"1.2","creator":{"name":"rawsio","version":"'
        head += f'{__version__}"}},'
        if self._dropped:
            head += f'"comment":"{self._dropped} more entries are left out",'
        file = Output(
            self._path, f'{head}"entries":[\n'.encode, self._failed, 2 * self._most + 1000
        )
        try:
            self._entries.seek(0)
            while piece := self._entries.read(_PIECE):
                file.write(piece)
        except OSError as error:
            self._fail(error)
        file.write(b"\n]}}\n")
        file.close()
        if self._entries is not None:
            self._entries.close()
            self._entries = None

    def _fail(self, error: OSError) -> None:
        self._entries = None
        words = error.strerror or str(error)
        self._failed(f"{self._path}: {words}: nothing more is recorded there")


class Exchanges:
    """The exchanges of one connection."""

    def __init__(self, har: Har, number: int, server: tuple[str, int], *, tls: bool) -> None:
        self._har = har
        self._number = number
        self._server = server
        self._tls = tls
        self._asked: deque[dict[str, Any]] = deque()
        self._answered: dict[str, Any] | None = None
        self._messages: list[dict[str, Any]] | None = None

    def item(self, item: Item) -> None:
        """Take a message."""
        if isinstance(item.head, Request):
            self._asked.append(self._entry(item, item.head))
        elif isinstance(item.head, Response):
            self._answer(item, item.head)
        elif item.tree.name == "body" and item.layers[:1] == ("HTTP",):
            self._body(item)
        elif self._messages is not None and len(self._messages) < MESSAGES:
            self._message(item)

    def _entry(self, item: Item, head: Request) -> dict[str, Any]:
        target = head.target
        scheme = "https" if self._tls else "http"
        path = target if target[:1] == "/" else "/"
        query = [part.partition("=") for part in path.partition("?")[2].split("&") if part]
        return {
            "startedDateTime": _iso(item.time),
            "_started": item.time,
            "time": 0,
            "request": {
                "method": head.method,
                "url": f"{scheme}://{head.host or self._server[0]}{path}",
                "httpVersion": f"HTTP/{head.version}",
                "cookies": [],
                "headers": _fields(head),
                "queryString": [{"name": n, "value": v} for n, _, v in query],
                "headersSize": len(item.tree.data or b""),
                "bodySize": 0,
            },
            "cache": {},
            "serverIPAddress": self._server[0],
            "connection": str(self._number),
        }

    def _answer(self, item: Item, head: Response) -> None:
        if head.status < 200 and head.status != 101:
            return
        if not self._asked:
            return
        self._finish()
        entry = self._answered = self._asked.popleft()
        entry["_first"] = item.time
        kind = head.headers.get("content-type") or ""
        entry["response"] = {
            "status": head.status,
            "statusText": head.reason,
            "httpVersion": f"HTTP/{head.version}",
            "cookies": [],
            "headers": _fields(head),
            "content": {"size": 0, "mimeType": kind},
            "redirectURL": head.headers.get("location") or "",
            "headersSize": len(item.tree.data or b""),
            "bodySize": 0,
        }
        entry["_last"] = item.time
        if head.status == 101:
            entry["_resourceType"] = "websocket"
            entry["request"]["url"] = entry["request"]["url"].replace("http", "ws", 1)
            self._messages = entry["_webSocketMessages"] = []
        elif head.status in (204, 304) or head.headers.get("content-length") == "0":
            self._finish()

    def _body(self, item: Item) -> None:
        data = item.content
        decoded = _plain(item)
        if item.sender is Role.CLIENT:
            if self._asked:
                entry = self._asked[-1]
                entry["request"]["bodySize"] = item.sent
                headers = {f["name"].lower(): f["value"] for f in entry["request"]["headers"]}
                entry["request"]["postData"] = {
                    "mimeType": headers.get("content-type", ""),
                    "text": data.decode("utf-8", "replace"),
                }
                _note(entry, decoded)
            return
        entry_ = self._answered
        if entry_ is not None:
            content = entry_["response"]["content"]
            content["size"], entry_["response"]["bodySize"] = len(item.content), item.sent
            if item.sent < len(item.content):
                content["compression"] = len(item.content) - item.sent
            content.update(_as_text(data))
            entry_["_last"] = item.time
            _note(entry_, decoded)
            self._finish()

    def _message(self, item: Item) -> None:
        message = item.tree.fields[-1] if item.tree.fields else None
        if message is None or message.name != "message" or self._messages is None:
            return
        text = is_text(message)
        data = item.content
        shown = _as_text(data) if text else {"text": _base64(data)}
        made = {
            "type": "send" if item.sender is Role.CLIENT else "receive",
            "time": item.time,
            "opcode": 1 if text else 2,
            "data": shown["text"],
        }
        _note(made, _plain(item))
        self._messages.append(made)
        if self._answered is not None:
            self._answered["_last"] = item.time

    def end(self) -> None:
        """The connection is over: what was not answered has no status."""
        self._finish()
        while self._asked:
            entry = self._asked.popleft()
            entry["response"] = {
                "status": 0, "statusText": "", "httpVersion": "", "cookies": [], "headers": [],
                "content": {"size": 0, "mimeType": ""}, "redirectURL": "", "headersSize": -1,
                "bodySize": -1,
            }  # fmt: skip
            self._put(entry)

    def _finish(self) -> None:
        if self._answered is not None:
            entry, self._answered = self._answered, None
            self._messages = None
            self._put(entry)

    def _put(self, entry: dict[str, Any]) -> None:
        began = entry.pop("_started")
        first = entry.pop("_first", began)
        last = entry.pop("_last", first)
        wait, receive = (first - began) * 1000, (last - first) * 1000
        entry["time"] = round(wait + receive, 3)
        entry["timings"] = {
            "blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 0,
            "wait": round(wait, 3), "receive": round(receive, 3),
        }  # fmt: skip
        self._har.add(entry)


def _fields(head: Request | Response) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in head.headers]


def _plain(item: Item) -> list[dict[str, Any]]:
    return [] if compact(item) else [plain_packet(packet) for packet in item.packets]


def _note(entry: dict[str, Any], packets: list[dict[str, Any]]) -> None:
    import json

    if packets:
        text = json.dumps(packets, default=lambda value: {"base64": _base64(bytes(value))})
        entry["_socketio"] = [*entry.get("_socketio", []), *json.loads(text)]


def _as_text(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"text": _base64(data), "encoding": "base64"}


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def _iso(time: float) -> str:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(time, timezone.utc).isoformat(timespec="milliseconds")
