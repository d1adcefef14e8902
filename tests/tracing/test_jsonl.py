"""A JSON object a message."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

from rawsio.explain.conversation import Conversation
from rawsio.layer import Role
from rawsio.tracing.jsonl import MOST, line
from rawsio.tracing.recorder import Recorder

REQUEST = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
POST = b"POST /socket.io/?EIO=4&transport=polling&sid=abcdefgh HTTP/1.1\r\nHost: a\r\n"


def server_frame(payload: bytes, first: int = 0x81) -> bytes:
    return bytes((first, 127)) + len(payload).to_bytes(8, "big") + payload


def deflated(text: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    return bytes((0xC1, 126)) + len(data).to_bytes(2, "big") + data


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


def test_what_a_few_bytes_become_is_not_written_in_full() -> None:
    text = b'42["a","' + b"x" * (4 * MOST) + b'"]'
    for wire, left_out in ((server_frame(text), None), (deflated(text), len(text))):
        talk = Conversation()
        talk.feed(Role.CLIENT, REQUEST)
        talk.feed(Role.SERVER, ANSWER)
        (item,) = talk.feed(Role.SERVER, wire)
        shown = json.loads(line(0, item))
        assert shown.get("left_out") == left_out
        assert len(shown["packets"]) == (left_out is None)
        assert shown["summary"].startswith("message: EVENT")


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
