"""Our client in Python: in a loop of the program, in its thread, on asyncio (:mod:`.meter`)."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from rawsio import Client, connect
from tests.bench.talkers.meter import AHEAD, EACH, TEXT, Meter


def talk(socket: Any, meter: Meter) -> None:
    """Begin to ask; each answer asks again."""

    def ask() -> None:
        socket.emit_with_ack("echo", TEXT).add_done_callback(answered)

    def answered(reply: Any) -> None:
        meter.took(reply.result())
        ask()

    @socket.on("news")
    def news(value: Any) -> None:
        if meter.took(value):
            socket.emit("flow", EACH, TEXT)

    if meter.mode == "stream":
        for _ in range(AHEAD):
            socket.emit("flow", EACH, TEXT)
    else:
        for _ in range(meter.depth):
            ask()


def in_a_loop(meter: Meter) -> None:
    client = Client(meter.url, transports=["websocket"])
    client.main.connect()
    while not client.main.connected:
        client.step(1.0)
    talk(client.main, meter)
    for what, seconds in ((meter.begin, meter.warm), (meter.report, meter.seconds)):
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            client.step(0.1)
        what()


def in_a_thread(meter: Meter) -> None:
    socket = connect(meter.url, transports=["websocket"])
    talk(socket, meter)
    time.sleep(meter.warm)
    meter.begin()
    time.sleep(meter.seconds)
    meter.report()


async def on_asyncio(meter: Meter) -> None:
    async with Client(meter.url, transports=["websocket"]) as socket:
        talk(socket, meter)
        await asyncio.sleep(meter.warm)
        meter.begin()
        await asyncio.sleep(meter.seconds)
        meter.report()
        os._exit(0)  # what is in flight is nobody's any more


def main() -> None:
    meter = Meter()
    if meter.form == "loop":
        in_a_loop(meter)
    elif meter.form == "thread":
        in_a_thread(meter)
    else:
        asyncio.run(on_asyncio(meter))
    os._exit(0)


main()
