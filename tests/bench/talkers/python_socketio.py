"""python-socketio's clients, with threads and on asyncio (:mod:`.meter`)."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import socketio

from tests.bench.talkers.meter import AHEAD, EACH, TEXT, Meter


def with_threads(meter: Meter) -> None:
    sio = socketio.Client()

    def answered(value: Any) -> None:
        meter.took(value)
        sio.emit("echo", TEXT, callback=answered)

    @sio.on("news")
    def news(value: Any) -> None:
        if meter.took(value):
            sio.emit("flow", (EACH, TEXT))

    sio.connect(meter.url, transports=["websocket"])
    for _ in range(AHEAD if meter.mode == "stream" else 0):
        sio.emit("flow", (EACH, TEXT))
    for _ in range(meter.depth if meter.mode == "echo" else 0):
        sio.emit("echo", TEXT, callback=answered)
    time.sleep(meter.warm)
    meter.begin()
    time.sleep(meter.seconds)
    meter.report()


async def on_asyncio(meter: Meter) -> None:
    sio = socketio.AsyncClient()

    async def answered(value: Any) -> None:
        meter.took(value)
        await sio.emit("echo", TEXT, callback=answered)

    @sio.on("news")
    async def news(value: Any) -> None:
        if meter.took(value):
            await sio.emit("flow", (EACH, TEXT))

    await sio.connect(meter.url, transports=["websocket"])
    for _ in range(AHEAD if meter.mode == "stream" else 0):
        await sio.emit("flow", (EACH, TEXT))
    for _ in range(meter.depth if meter.mode == "echo" else 0):
        await sio.emit("echo", TEXT, callback=answered)
    await asyncio.sleep(meter.warm)
    meter.begin()
    await asyncio.sleep(meter.seconds)
    meter.report()
    os._exit(0)


def main() -> None:
    meter = Meter()
    if meter.form == "threads":
        with_threads(meter)
    else:
        asyncio.run(on_asyncio(meter))
    os._exit(0)


main()
