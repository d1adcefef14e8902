"""Clients for ``recovery.py``: ours, until standard input ends; see ``recovery_clients.js``.

``python -m tests.soak.recovery_clients URL NAME CLIENTS ROOMS [SECONDS]``: at the end they listen
so many seconds to those of other processes, if there are any.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from contextlib import suppress
from typing import Any

from rawsio import Client, ConnectionClosed

__all__ = ["main"]


class Rest:
    """Where all clients of this process wait for one another, once they say nothing any more."""

    def __init__(self, clients: int, seconds: float) -> None:
        self.seconds = seconds
        self._missing = clients
        self._all = asyncio.Event()

    async def reached(self) -> None:
        """Wait for the others."""
        self._missing -= 1
        if not self._missing:
            self._all.set()
        await self._all.wait()


class One:
    """One client: what it saw, how often it came back, and what was wrong then."""

    def __init__(self, url: str, name: str, number: int, rooms: int) -> None:
        self.name = f"{name} {number}"
        self.room = f"room {number % rooms}"
        self.seen: list[Any] = []
        self.said: list[str] = []
        self.back = 0
        self.wrong: list[str] = []
        self._entered = False
        self._count = 0
        polls = number % 3 == 0
        self._client = Client(
            url,
            transports=["polling", "websocket"] if polls else ["websocket"],
            reconnection_delay=0.05,
            reconnection_delay_max=0.3,
        )

    async def run(self, over: asyncio.Event, rest: Rest) -> None:
        """Say something again and again."""
        async with self._client as socket:
            socket.on("said", self.seen.append)
            socket.on("connect", lambda: self._came_back(socket))
            await socket.emit_with_ack("enter", self.name, self.room)
            self._entered = True
            print("entered", file=sys.stderr, flush=True)
            number, replies = 0, []
            while not over.is_set():
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(over.wait(), random.uniform(0.7, 1.3))
                if socket.connected and not over.is_set():
                    what = f"{self.name}: {number}"
                    number += 1
                    reply = socket.emit_with_ack("say", what)
                    reply.add_done_callback(lambda reply, what=what: self._heard(what, reply))
                    replies.append(reply)
            for reply in replies:
                with suppress(ConnectionClosed):
                    await reply
            await rest.reached()  # nobody here says anything now
            await socket.emit_with_ack("who")  # what was said before its answer is here
            await asyncio.sleep(rest.seconds)

    def _heard(self, what: str, reply: Any) -> None:
        try:
            self._count = reply.result()
        except Exception:  # noqa: BLE001 - the server was killed: nobody knows
            return
        self.said.append(what)

    def _came_back(self, socket: Any) -> None:
        if not self._entered:
            return
        self.back += 1
        if not socket.recovered:
            self.wrong.append("not recovered")
        socket.emit_with_ack("who").add_done_callback(self._look)

    def _look(self, reply: Any) -> None:
        try:
            who, rooms, counted = reply.result()
        except Exception:  # noqa: BLE001 - as above
            return
        if who != self.name or rooms != [self.room]:
            self.wrong.append(f"{who} in {rooms}")
        if counted < self._count:
            self.wrong.append(f"counted {counted}, and {self._count} was acknowledged")

    def found(self) -> dict[str, Any]:
        """Return what is to be judged."""
        names = ("name", "room", "seen", "said", "back", "wrong")
        return {name: getattr(self, name) for name in names}


async def main(url: str, name: str, clients: int, rooms: int, seconds: float = 3.0) -> None:
    """Run all clients until standard input ends."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: over.set())
    ones = [One(url, name, number, rooms) for number in range(clients)]
    rest = Rest(clients, seconds)
    await asyncio.gather(*[one.run(over, rest) for one in ones])
    print(json.dumps([one.found() for one in ones]))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3], *map(int, sys.argv[3:5]), *map(float, sys.argv[5:])))
