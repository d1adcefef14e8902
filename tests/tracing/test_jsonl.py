"""A JSON object a message."""

from __future__ import annotations

import json

from rawsio.explain.conversation import Conversation
from rawsio.layer import Role
from rawsio.tracing.jsonl import line

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
    assert "abcdefgh" not in json.dumps(shown)
    assert "abcdefgh" in line(3, items[0], secrets=True).decode()


def test_the_credentials_of_a_connect_are_hidden() -> None:
    body = b'40{"token":"secret"}'
    wire = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    item = Conversation().feed(Role.CLIENT, wire)[1]
    assert b"secret" not in line(0, item)
    assert b"secret" in line(0, item, secrets=True)
