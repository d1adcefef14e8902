"""What each layer costs, in microseconds for a message: ``python -m tests.bench.layers``.

The message is the commonest one: an event of about 40 bytes, which comes with an acknowledgement
asked for and goes without.  ``in`` is from the unit below to the event, ``out`` from the event to
the unit.

Units are those of a calibration loop (a fixed piece of pure Python that does what parsers do), so
that a slow or busy machine moves both sides of a comparison.  Times are reported, and nothing is
held to them: what is held are counts (:mod:`.counts`).
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from typing import Any

from rawsio.engineio.connection import EngineIOConnection
from rawsio.engineio.packets import Message as EngineMessage
from rawsio.engineio.packets import Opened
from rawsio.http import EndOfMessage, HTTPConnection, answer
from rawsio.http.messages import Body
from rawsio.layer import Role
from rawsio.prepared import prepare
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Connect, Event
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.events import Message

__all__ = ["calibration", "main", "measure"]

ROUNDS = 9
SECONDS = 0.05
"""CPU time of one round of one row; the best of the rounds counts."""

PACKET = '4217["echo","0123456789abcdef0123456789"]'
MESSAGE = PACKET[1:]
GET = b"GET /hello HTTP/1.1\r\nHost: localhost:3000\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n"


def calibration() -> None:
    """Do one unit: what a parser does for a few bytes, and nothing of rawsio."""
    data = b"42[1]abcdefgh"
    text = data[2:].decode("ascii")
    place = text.index("]")
    table = {text[:place]: place}
    table["x"] = len(text) + table[text[:place]]


def _masked(payload: bytes) -> bytes:
    key = b"\x37\xfa\x21\x3d"
    body = bytes(byte ^ key[n & 3] for n, byte in enumerate(payload))
    return bytes((0x81, 0x80 | len(payload))) + key + body


def _websocket() -> WebSocketConnection:
    layer = WebSocketConnection(Role.SERVER)
    layer.tick(1.0)
    return layer


def _engineio() -> EngineIOConnection:
    layer = EngineIOConnection(Role.SERVER)
    layer.tick(1.0)
    layer.send(Opened("sid", (), 25.0, 20.0, 1_000_000))
    layer.data_to_send()
    return layer


def _socketio() -> SocketIOConnection:
    layer = SocketIOConnection(Role.SERVER)
    layer.tick(1.0)
    layer.receive("0")
    layer.send(Connect("/", {"sid": "x"}))
    layer.data_to_send()
    return layer


def _rows() -> dict[str, Callable[[], Any]]:
    frame = _masked(PACKET.encode())
    event = Event("/", ["news", "0123456789abcdef0123456789"], None)
    layers = (_websocket(), _engineio(), _socketio())
    return {
        "websocket in": _receiver(_websocket(), frame),
        "websocket out": _sender(_websocket(), Message(PACKET)),
        "engineio in": _receiver(_engineio(), PACKET),
        "engineio out": _sender(_engineio(), EngineMessage(MESSAGE)),
        "socketio in": _receiver(_socketio(), MESSAGE),
        "socketio out": _sender(_socketio(), event),
        "prepare": lambda: prepare(event).frame,
        "whole in": _whole_in(*layers, frame),
        "whole out": _whole_out(_websocket(), _engineio(), _socketio(), event),
        "http request and answer": _http(),
    }


def _receiver(layer: Any, unit: Any) -> Callable[[], Any]:
    receive = layer.receive
    assert len(receive(unit)) == 1
    return lambda: receive(unit)


def _sender(layer: Any, event: Any) -> Callable[[], Any]:
    def send() -> Any:
        layer.send(event)
        return layer.data_to_send()

    assert send()
    return send


def _whole_in(ws: Any, eio: Any, sio: Any, frame: bytes) -> Callable[[], Any]:
    def receive() -> Any:
        for message in ws.receive(frame):
            for packet in eio.receive(message.data):
                events = sio.receive(packet.data)
        return events

    assert receive()[0].args[0] == "echo"
    return receive


def _whole_out(ws: Any, eio: Any, sio: Any, event: Any) -> Callable[[], Any]:
    def send() -> Any:
        sio.send(event)
        for unit in sio.data_to_send():
            eio.send(EngineMessage(unit))
        for packet in eio.data_to_send():
            ws.send(Message(packet))
        return ws.data_to_send()

    assert send()
    return send


def _http() -> Callable[[], Any]:
    layer = HTTPConnection(Role.SERVER)
    layer.tick(1.0)
    response = answer(200, b"hello")
    body, end = Body(b"hello"), EndOfMessage()

    def exchange() -> Any:
        layer.receive(GET)
        layer.send(response)
        layer.send(body)
        layer.send(end)
        return layer.data_to_send()

    assert exchange()
    return exchange


def measure(function: Callable[[], Any]) -> float:
    """Return the microseconds of one call: the best of some rounds."""
    count = 1
    while True:
        started = time.process_time()
        for _ in range(count):
            function()
        if time.process_time() - started > SECONDS / 4:
            break
        count *= 2
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(count * 4):
            function()
        best = min(best, time.process_time() - started)
    return best / (count * 4) * 1e6


def main() -> None:
    """Print the table."""
    gc.disable()
    unit = measure(calibration)
    print(f"calibration: {unit:.3f} us, Python {sys.version.split()[0]}\n")
    print("| row | us | units |\n|---|---|---|")
    for name, function in _rows().items():
        cost = measure(function)
        print(f"| {name} | {cost:.2f} | {cost / unit:.1f} |", flush=True)


if __name__ == "__main__":
    main()
