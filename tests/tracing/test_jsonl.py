"""A JSON object a message."""

from __future__ import annotations

import json
from pathlib import Path

from rawsio.explain.conversation import Conversation
from rawsio.layer import Role
from rawsio.tracing.jsonl import line
from rawsio.tracing.recorder import Recorder

POST = b"POST /socket.io/?EIO=4&transport=polling&sid=abcdefgh HTTP/1.1\r\nHost: a\r\n"


def test_a_message_has_its_layers_and_packets() -> None:
    body = b'42["chat","hi"]\x1e451-["f",{"_placeholder":true,"num":0}]\x1ebAQI='
    wire = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    items = Conversation().feed(Role.CLIENT, wire)
    shown = [json.loads(line(3, item)) for item in items]
    assert shown[1]["layers"] == ["HTTP", "Engine.IO", "Socket.IO"]
    assert shown[1]["packets"] == [
        {"type": "Event", "namespace": "/", "args": ["chat", "hi"], "id": None},
        {"type": "Event", "namespace": "/", "args": ["f", {"base64": "AQI="}], "id": None},
    ]
    assert (shown[1]["connection"], shown[1]["size"]) == (3, len(body))
    assert shown[0]["session"] == "abcdefgh"


def test_a_recorder_writes_no_credentials(tmp_path: Path) -> None:
    body = b'40{"token":"secret"}'
    wire = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    wrong = b"GET / HTTP/1.1\r\nHost: a\r\nCookie secret\r\n\r\n"
    for secrets in (False, True):
        path = tmp_path / f"{secrets}.jsonl"
        with Recorder(str(path), secrets=secrets) as recorder:
            tap = recorder.tap(("10.0.0.1", 5), ("10.0.0.2", 80))
            tap.data(Role.CLIENT, wire + wrong)
        text = path.read_text("utf-8")
        assert text.count("\n") > 2
        assert ("abcdefgh" in text, "secret" in text) == (secrets, secrets)
