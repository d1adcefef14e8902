"""A Redis in memory: the server's end of our RESP layer, and the commands that clusters use.

Time and the wires are those of :mod:`rawsio.net.memory`, so a test moves the clock, cuts
connections and stops the server, and everything happens in the same order each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rawsio.layer import Role
from rawsio.limits import DEFAULT, Limits
from rawsio.net.driver import Driver
from rawsio.net.loop import Loop
from rawsio.net.memory import START, Switchboard
from rawsio.net.tcp import TCPStream
from rawsio.redis import Command, ErrorReply, Push, Reply, RESPConnection
from rawsio.redis.slots import slot_of

__all__ = ["Bench", "FakeRedis"]


class _Client:
    """One connection of the server."""

    def __init__(self, redis: FakeRedis, driver: Driver, sock: Any) -> None:
        self.redis = redis
        self.layer = RESPConnection(Role.SERVER)
        self.known = not redis.password
        self.queued: list[list[bytes]] | None = None  # between MULTI and EXEC
        self.results: list[Any] | None = None
        self.stream = TCPStream(driver, sock, self.layer, self._received, self._closed)

    def _received(self, _stream: TCPStream, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Command) and self.redis.hanging:
                self.redis.held.append((self, list(event.args)))
            elif isinstance(event, Command) and not self.redis.silent:
                self.redis.run(self, list(event.args))
        self.stream.touch()

    def _closed(self, _stream: TCPStream, _reason: str) -> None:
        self.redis.clients.remove(self)
        self.redis.unblock(self)

    def reply(self, value: Any) -> None:
        if self.results is not None:
            self.results.append(value)
            return
        self.layer.send(Reply(value))
        self.stream.touch()

    def push(self, kind: str, items: list[Any]) -> None:
        self.layer.send(Push(kind, items))
        self.stream.touch()


class _Blocked:
    """An ``XREAD`` that waits."""

    def __init__(self, client: _Client, asked: dict[bytes, tuple[int, int]], most: int) -> None:
        self.client = client
        self.asked = asked
        self.most = most
        self.timer: Any = None


def _position(text: bytes) -> tuple[int, int]:
    if text in (b"-", b"+"):
        return (0, 0) if text == b"-" else (1 << 64, 0)
    milliseconds, _, number = text.partition(b"-")
    return int(milliseconds), int(number or 0)


def _shown(entries: list[tuple[tuple[int, int], list[bytes]]]) -> list[Any]:
    return [[b"%d-%d" % position, fields] for position, fields in entries]


class FakeRedis:
    """A server with pub/sub and strings; ``version`` 6 has ``HELLO``, 5 has not.

    While ``silent`` it takes commands and does nothing; while ``hanging`` it keeps them for later.
    ``refuse`` maps a word to the error with which such commands are answered.
    """

    def __init__(self, *, version: int = 7, password: str = "") -> None:
        self.version = version
        self.password = password
        self.silent = False
        self.hanging = False
        self.held: list[tuple[_Client, list[bytes]]] = []
        self.refuse: dict[str, ErrorReply] = {}
        self.clients: list[_Client] = []
        self.values: dict[bytes, bytes] = {}
        # What is published and reaches nobody.
        self.lost: Callable[[bytes, bytes], bool] = lambda _channel, _payload: False
        # In a cluster: the address of the server that has a slot, None for this one.
        self.owner: Callable[[int], str | None] = lambda _slot: None
        self.ran: list[list[bytes]] = []
        self.streams: dict[bytes, list[tuple[tuple[int, int], list[bytes]]]] = {}
        self.blocked: list[_Blocked] = []

    def run(self, client: _Client, args: list[bytes]) -> None:
        self.ran.append(args)
        name = args[0].decode().lower()
        if client.queued is not None and name != "exec":
            client.queued.append(args)
            client.reply("QUEUED")
        elif name in self.refuse:
            client.reply(self.refuse[name])
        elif not client.known and name not in ("hello", "auth"):
            client.reply(ErrorReply("NOAUTH", "Authentication required."))
        else:
            method: Callable[..., None] | None = getattr(self, f"do_{name}", None)
            if method is None or (name == "hello" and self.version < 6):
                client.reply(ErrorReply("ERR", f"unknown command '{name}'"))
            else:
                method(client, *args[1:])

    def do_hello(self, client: _Client, version: bytes, *more: bytes) -> None:
        if more[:1] == (b"AUTH",):
            client.known = more[2].decode() == self.password
        if not client.known:
            client.reply(ErrorReply("WRONGPASS", "invalid username-password pair"))
        else:
            client.reply({b"server": b"redis", b"proto": int(version)})

    def do_auth(self, client: _Client, *words: bytes) -> None:
        client.known = words[-1].decode() == self.password
        client.reply("OK" if client.known else ErrorReply("WRONGPASS", "invalid password"))

    def do_select(self, client: _Client, _database: bytes) -> None:
        client.reply("OK")

    def do_ping(self, client: _Client) -> None:
        subscribed = client.layer.version == 2 and any(client.layer.subscriptions.values())
        client.reply([b"pong", b""] if subscribed else "PONG")

    def do_get(self, client: _Client, key: bytes) -> None:
        client.reply(self.values.get(key))

    def do_set(self, client: _Client, key: bytes, value: bytes, *_expiry: bytes) -> None:
        self.values[key] = value
        client.reply("OK")

    def do_del(self, client: _Client, key: bytes) -> None:
        client.reply(int(self.values.pop(key, None) is not None))

    def do_multi(self, client: _Client) -> None:
        client.queued = []
        client.reply("OK")

    def do_exec(self, client: _Client) -> None:
        queued, client.queued = client.queued or [], None
        results = client.results = []
        for args in queued:
            self.run(client, args)
        client.results = None
        client.reply(results)

    # Streams

    def do_xadd(self, client: _Client, stream: bytes, *words: bytes) -> None:
        at = words.index(b"*")
        entries = self.streams.setdefault(stream, [])
        now = int(client.stream.driver.time() * 1000)
        last = entries[-1][0] if entries else (0, 0)
        position = (last[0], last[1] + 1) if last[0] >= now else (now, 0)
        entries.append((position, list(words[at + 1 :])))
        if words[:2] == (b"MAXLEN", b"~"):
            del entries[: -int(words[2])]
        client.reply(b"%d-%d" % position)
        for blocked in list(self.blocked):
            if (found := self._behind(blocked)) is not None:
                self._wake(blocked, found)

    def do_xrange(
        self, client: _Client, stream: bytes, start: bytes, end: bytes, *count: bytes
    ) -> None:
        first, last = _position(start), _position(end)
        found = [e for e in self.streams.get(stream, []) if first <= e[0] <= last]
        client.reply(_shown(found[: int(count[1])] if count else found))

    def do_xrevrange(
        self, client: _Client, stream: bytes, _end: bytes, _start: bytes, *_count: bytes
    ) -> None:
        client.reply(_shown(self.streams.get(stream, [])[-1:]))

    def do_xread(self, client: _Client, *words: bytes) -> None:
        most, wait, at = int(words[1]), int(words[3]) / 1000, words.index(b"STREAMS") + 1
        half = (len(words) - at) // 2
        asked = dict(zip(words[at : at + half], map(_position, words[at + half :]), strict=True))
        blocked = _Blocked(client, asked, most)
        found = self._behind(blocked)
        if found is not None:
            client.reply(found)
            return
        self.blocked.append(blocked)
        loop = client.stream.driver.loop
        blocked.timer = loop.call_later(wait, self._wake, blocked, None)

    def _behind(self, blocked: _Blocked) -> Any:
        found = {}
        for stream, position in blocked.asked.items():
            entries = [e for e in self.streams.get(stream, []) if e[0] > position]
            if entries:
                found[stream] = _shown(entries[: blocked.most])
        if not found:
            return None
        pairs = [[name, entries] for name, entries in found.items()]
        return found if blocked.client.layer.version == 3 else pairs

    def _wake(self, blocked: _Blocked, found: Any) -> None:
        self.blocked.remove(blocked)
        blocked.timer.cancel()
        blocked.client.reply(found)

    def unblock(self, client: _Client) -> None:
        """Forget what a client waited for that is gone."""
        for blocked in [one for one in self.blocked if one.client is client]:
            self.blocked.remove(blocked)
            blocked.timer.cancel()

    def do_publish(self, client: _Client, channel: bytes, payload: bytes) -> None:
        if self.lost(channel, payload):
            client.reply(0)
            return
        heard = 0
        for other in list(self.clients):
            named = other.layer.subscriptions
            if channel in named["subscribe"]:
                other.push("message", [channel, payload])
                heard += 1
            for pattern in named["psubscribe"]:
                if channel.startswith(pattern[:-1].replace(b"\\", b"")):  # all end with a star
                    other.push("pmessage", [pattern, channel, payload])
                    heard += 1
        client.reply(heard)

    def do_spublish(self, client: _Client, channel: bytes, payload: bytes) -> None:
        if self._elsewhere(client, channel):
            return
        if self.lost(channel, payload):
            client.reply(0)
            return
        heard = [c for c in self.clients if channel in c.layer.subscriptions["ssubscribe"]]
        for other in heard:
            other.push("smessage", [channel, payload])
        client.reply(len(heard))

    def do_pubsub(self, client: _Client, what: bytes, channel: bytes) -> None:
        kind = "ssubscribe" if what == b"SHARDNUMSUB" else "subscribe"
        number = sum(channel in c.layer.subscriptions[kind] for c in self.clients)
        client.reply([channel, number])

    def _elsewhere(self, client: _Client, channel: bytes) -> bool:
        """Tell a client of a cluster that another server has this channel."""
        owner = self.owner(slot_of(channel))
        if owner is None:
            return False
        client.reply(ErrorReply("MOVED", f"{slot_of(channel)} {owner}"))
        return True

    def give_up_slots(self) -> None:
        """Tell subscribers of the channels that are another server's by now."""
        for client in self.clients:
            for name in sorted(client.layer.subscriptions["ssubscribe"]):
                if self.owner(slot_of(name)) is not None:
                    client.push("sunsubscribe", [name, 0])

    def _confirm(self, client: _Client, kind: str, names: tuple[bytes, ...]) -> None:
        for number, name in enumerate(names, 1):
            client.push(kind, [name, number])

    def do_subscribe(self, client: _Client, *names: bytes) -> None:
        self._confirm(client, "subscribe", names)

    def do_psubscribe(self, client: _Client, *names: bytes) -> None:
        self._confirm(client, "psubscribe", names)

    def do_ssubscribe(self, client: _Client, *names: bytes) -> None:
        if not self._elsewhere(client, names[0]):
            self._confirm(client, "ssubscribe", names)

    def do_sunsubscribe(self, client: _Client, *names: bytes) -> None:
        self._confirm(client, "sunsubscribe", names)

    def do_unsubscribe(self, client: _Client, *names: bytes) -> None:
        self._confirm(client, "unsubscribe", names)

    def do_punsubscribe(self, client: _Client, *names: bytes) -> None:
        self._confirm(client, "punsubscribe", names)


class Bench:
    """A loop in memory, a Redis on it, and what clients need to reach it.

    ``board`` and ``loop`` are those of a ``TestKit``, where there is one.
    """

    def __init__(
        self,
        redis: FakeRedis | None = None,
        limits: Limits = DEFAULT,
        board: Switchboard | None = None,
        loop: Loop | None = None,
    ) -> None:
        self.board = Switchboard() if board is None else board
        self.loop = Loop(self.board, self.board.time) if loop is None else loop  # type: ignore[arg-type]
        self.redis = FakeRedis() if redis is None else redis
        self.driver = Driver(self.loop, limits)
        self.refusing = False
        self.vanished = False
        self.dialled = 0
        # Other servers, by their ports; None is one that refuses connections.
        self.servers: dict[int, FakeRedis | None] = {}

    def connect(
        self,
        _loop: Any,
        _host: str,
        port: int,
        done: Callable[[Any], object],
        failed: Callable[[str], object],
    ) -> Any:
        """Connect a client to the server: what ``RedisClient(connect=...)`` takes."""
        call = _Call()
        self.dialled += 1
        self.loop.call_soon(self._join, call, done, failed, port)
        return call

    def _join(self, call: _Call, done: Callable[[Any], object], failed: Any, port: int) -> None:
        if call.cancelled or self.vanished:
            return
        redis = self.servers.get(port, self.redis)
        if self.refusing or redis is None:
            failed("connection refused")
            return
        here, there = self.board.pair()
        redis.clients.append(_Client(redis, self.driver, there))
        done(here)

    def cut(self) -> None:
        """Break every connection, as the end of the server does."""
        for client in list(self.redis.clients):
            client.stream.sock.reset()  # type: ignore[attr-defined]
        self.run()

    def run(self) -> None:
        """Let everything happen that can happen now; time does not pass."""
        self.board.waited = 0.0
        while True:
            self.loop.step(0)
            due = self.loop.next_deadline()
            if not self.board.ready() and (due is None or due > self.board.now):
                return

    def advance(self, seconds: float) -> None:
        """Let so much time pass, and everything happen that happens meanwhile, in its order."""
        end = self.board.now + seconds
        self.run()
        while (due := self.loop.next_deadline()) is not None and due <= end:
            self.board.now = due
            self.run()
        self.board.now = end
        self.run()

    @property
    def time(self) -> float:
        return self.board.now - START


class _Call:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
