"""HAR: exchanges, WebSocket messages, bodies, times."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from rawsio.layer import Role
from rawsio.tracing.recorder import Recorder
from rawsio.websocket.frames import encode_frame

C, S = Role.CLIENT, Role.SERVER
GET = b"GET /socket.io/?EIO=4&transport=%b&sid=abc HTTP/1.1\r\nHost: a:80\r\nCookie: x\r\n%b\r\n"
WISH = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b"


def recorded(tmp_path: Path, *said: tuple[Role, bytes], secrets: bool = False) -> Any:
    path, now = tmp_path / "a.har", 1_700_000_000.0

    def clock() -> float:
        nonlocal now
        now += 0.25
        return now

    recorder = Recorder(str(path), clock=clock, secrets=secrets)
    tap = recorder.tap(("10.0.0.1", 5), ("10.0.0.2", 80))
    for who, data in said:
        tap.data(who, data)
    recorder.close()
    return json.loads(path.read_text("utf-8"))["log"]


def test_an_exchange_is_an_entry_with_all_that_readers_require(tmp_path: Path) -> None:
    body = b'42["chat","hi"]'
    log = recorded(tmp_path, (C, GET % (b"polling", b"")), (S, ANSWER % (len(body), body)))
    assert log["version"] == "1.2"
    (entry,) = log["entries"]
    assert entry["request"]["url"] == "http://a:80/socket.io/?EIO=4&transport=polling&sid=***"
    assert {"name": "Cookie", "value": "*"} in entry["request"]["headers"]
    assert entry["response"]["content"] == {
        "size": 15, "mimeType": "text/plain", "text": '42["chat","hi"]',
    }  # fmt: skip
    assert entry["_socketio"][0]["args"] == ["chat", "hi"]
    timings = entry["timings"]
    assert entry["time"] == sum(t for t in timings.values() if t >= 0) == 250.0
    assert entry["startedDateTime"] == "2023-11-14T22:13:20.250+00:00"
    for part in ("cookies", "headers", "queryString"):
        assert isinstance(entry["request"][part], list)


def test_content_is_what_it_is_without_its_coding(tmp_path: Path) -> None:
    text = b'42["chat","hi"]' * 20
    packed = gzip.compress(text)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/plain\r\n"
    answer = head + b"Content-Length: %d\r\n\r\n" % len(packed) + packed
    log = recorded(tmp_path, (C, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), (S, answer))
    response = log["entries"][0]["response"]
    assert response["content"] == {
        "size": 300, "mimeType": "text/plain", "text": text.decode(),
        "compression": 300 - len(packed),
    }  # fmt: skip
    assert response["bodySize"] == len(packed)


def test_messages_of_a_websocket_belong_to_its_101(tmp_path: Path) -> None:
    yes = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    log = recorded(
        tmp_path,
        (C, GET % (b"websocket", WISH)),
        (S, yes),
        (C, encode_frame(1, b'40{"token":"x"}', mask=b"abcd")),
        (S, encode_frame(9, b"") + encode_frame(2, b"\x01\x02")),
    )
    (entry,) = log["entries"]
    assert entry["request"]["url"].startswith("ws://a:80/")
    assert entry["_resourceType"] == "websocket"
    assert [(m["type"], m["opcode"], m["data"]) for m in entry["_webSocketMessages"]] == [
        ("send", 1, '40{"token":"*"}'), ("receive", 2, "AQI="),
    ]  # fmt: skip


def test_pipelined_exchanges_and_one_without_an_answer_have_their_entries(tmp_path: Path) -> None:
    post = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
    log = recorded(
        tmp_path, (C, post + GET % (b"polling", b"")), (S, ANSWER % (2, b"\xff\xfe")), secrets=True
    )
    first, second = log["entries"]
    assert first["request"]["postData"]["text"] == "hi"
    assert first["response"]["content"]["encoding"] == "base64"
    assert second["response"]["status"] == 0
    assert second["request"]["url"].endswith("sid=abc")
