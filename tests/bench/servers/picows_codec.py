"""Picows (Cython) on uvloop with our codec, and nothing else: ``picows_codec.py PORT``.

There are no sessions, limits, rooms or heartbeats: it is what a WebSocket in C gives a server in
Python at most.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop
from picows import (
    WSListener,
    WSMsgType,
    ws_create_server,
)

from rawsio.limits import DEFAULT
from rawsio.socketio.packets import Ack, Event, decode_packet, encode_packet

OPEN = b'0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'


class Listener(WSListener):
    def on_ws_connected(self, transport: Any) -> None:
        transport.send(WSMsgType.TEXT, OPEN)

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        text = frame.get_payload_as_utf8_text()
        if text[:2] == "40":
            transport.send(WSMsgType.TEXT, b'40{"sid":"b"}')
        elif text[:1] == "4":
            packet = decode_packet(text[1:], DEFAULT)
            if isinstance(packet, Event):
                answer = encode_packet(Ack(packet.namespace, packet.args[1:], packet.id or 0))
                transport.send(WSMsgType.TEXT, b"4" + str(answer[0]).encode())


async def main() -> None:
    server = await ws_create_server(lambda _request: Listener(), "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
