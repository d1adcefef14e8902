r"""``PythonBridge``: one cluster with servers of python-socketio, by the channel of its managers.

So a fleet can move over one process at a time: servers of both kinds reach each other's clients::

    io = Server(adapter=PythonBridge("redis://127.0.0.1:6379"))
    io = Server(adapter=PythonBridge("redis://...", adapter=RedisAdapter("redis://...")))

All servers of python-socketio say everything on one channel (``socketio``), in JSON::

    {"method": "emit", "event": "foo", "data": [1], "binary": false, "namespace": "/",
     "room": null, "skip_sid": null, "callback": null, "host_id": "23577b5d..."}
    {"method": "enter_room", "sid": "...", "room": "...", ...}     leave_room close_room disconnect

By itself the bridge is the whole cluster: servers with it hear each other by that channel.  With an
``adapter`` beside it, servers of this library (and Node's) hear each other by that, and the bridge
is for the others alone.  Each server of this library then has a bridge, for its own clients; where
some have none (Node's), one has it for all of them: ``relay=True``.

What has no words on that channel stays on this side, and is logged once: ``except_(room)``, rooms
and disconnections of whole rooms, acknowledgements of several clients, ``fetch_sockets``, events
between servers.  The other way all that python-socketio says is done, its callbacks answered.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from functools import partial

from rawsio.app.adapter import Targets
from rawsio.app.reply import as_values
from rawsio.errors import LocalProtocolError, RemoteProtocolError
from rawsio.limits import DEFAULT
from rawsio.log import WARNING
from rawsio.redis import RedisOptions
from rawsio.socketio.packets import Event
from rawsio.socketio.values import encode_plain

from . import fields as read
from .adapter import ClusterAdapter
from .factory import AdapterFactory, check_hooks
from .fields import ClusterError
from .link import RedisLink
from .messages import Broadcast, Disconnect, Join, Leave

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.app.interfaces import NamespaceLike


__all__ = ["PythonBridge", "decode_data", "encode_data"]

_ID_LENGTH = 20
_MARK = "rawsio-"
"""What our host ids begin with, where servers of this library hear each other otherwise."""


def encode_data(args: list[Any]) -> tuple[list[Any], bool]:
    """Return the arguments of an event as they stand in a message, and whether there are bytes.

    >>> encode_data([b"1", {"a": 2}])
    ([[{'_placeholder': True, 'num': 0}, {'a': 2}], 'MQ=='], True)
    """
    pieces: list[str] = []

    def without(value: Any) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            pieces.append(str(b2a_base64(value, newline=False), "ascii"))
            return {"_placeholder": True, "num": len(pieces) - 1}
        if isinstance(value, (list, tuple)):
            return [without(item) for item in value]
        if isinstance(value, dict):
            return {key: without(item) for key, item in value.items()}
        return value

    plain = without(args)
    return ([plain, *pieces], True) if pieces else (plain, False)


def decode_data(data: Any, *, binary: bool) -> list[Any]:
    """Return the arguments in a message; raises ``ClusterError`` for what is none.

    >>> decode_data([[{"_placeholder": True, "num": 0}], "MQ=="], binary=True)
    [b'1']
    """
    if type(data) is not list:
        return [data]
    if not binary:
        return data
    try:
        pieces = [a2b_base64(piece) for piece in data[1:]]
        whole = _filled(data[0], pieces)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise ClusterError(f"no binary data: {error}", "cluster-message-fields") from None
    return whole if type(whole) is list else [whole]


def _filled(value: Any, pieces: list[bytes]) -> Any:
    if type(value) is list:
        return [_filled(item, pieces) for item in value]
    if type(value) is dict:
        if value.get("_placeholder") is True:
            number = value["num"]
            if type(number) is not int or number < 0:
                raise ValueError(f"a placeholder with the number {number!r}")
            return pieces[number]
        return {key: _filled(item, pieces) for key, item in value.items()}
    return value


def _names(value: Any) -> list[str]:
    if value is None:
        return []
    return read.names(value if type(value) is list else [value])


class _Alone:
    """The bus of a server that has only the bridge: nobody else is there."""

    timeout = 5.0

    def start(self, received: Callable[[Any], None]) -> None:
        """Hear nobody."""

    def stop(self) -> None:
        """Do nothing."""

    def publish(self, message: Any, to: str = "") -> None:
        """Tell nobody."""

    def count(self, counted: Callable[[int | None], None]) -> None:
        """Count this server."""
        counted(1)

    def nodes(self) -> list[str]:
        """Name nobody."""
        return []


def _check(channel: Any, relay: Any, adapter: Any) -> None:
    if not isinstance(channel, str):
        raise TypeError(f"channel: a text is expected, not {channel!r}")
    if relay not in (True, False):
        raise TypeError(f"relay: True or False is expected, not {relay!r}")
    if adapter is not None and not isinstance(adapter, AdapterFactory):
        raise TypeError(f"adapter: one as RedisAdapter() is expected, not {adapter!r}")


class PythonBridge:
    """The adapter of a server in one cluster with servers of python-socketio.

    ``channel`` is that of their managers.  ``adapter`` is the one by which servers of this library
    hear each other, ``relay`` says that this server speaks for all of them; see the module's text.
    ``redis`` says how to connect; ``on_degraded(degraded, reason)`` is called when Redis is lost
    and reached again.

    Raises ``ValueError`` for a URL that is none.  One object serves one server.
    """

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379",
        *,
        channel: str = "socketio",
        adapter: AdapterFactory | None = None,
        relay: bool = False,
        redis: RedisOptions | None = None,
        on_degraded: Callable[[bool, str], object] | None = None,
        connect: Callable[..., Any] | None = None,
    ) -> None:
        self.channel = channel
        self._inner = adapter
        self._relay = relay
        options = RedisOptions.of(redis, policy="drop_oldest")
        _check(channel, relay, adapter)
        check_hooks(on_degraded=on_degraded, connect=connect)
        told: Callable[[bool, str], object] | None = None
        if on_degraded is not None:
            tell = on_degraded

            def link_changed(ready: bool, reason: str) -> None:  # noqa: FBT001 - a state
                tell(not ready, reason)

            told = link_changed

        self.link = RedisLink(options.address_of(url), options, told, connect)
        self._adapters: dict[str, ClusterAdapter] = {}
        self._host: Any = None
        self._host_id = ""
        self._limits = DEFAULT
        self._taking = False
        self._silent: set[str] = set()
        if adapter is not None:
            adapter.listener = self

    def __call__(self, namespace: NamespaceLike) -> ClusterAdapter:
        """Make the adapter of a namespace; called by the server."""
        if self._host is None:
            self._host = namespace.host
            self._limits = read.with_envelope(namespace.host.limits)
            mark = "" if self._inner is None else _MARK
            self._host_id = mark + namespace.host.random_bytes(16).hex()
            self._host.loop.call_soon(self._begin)
        if self._inner is None:
            adapter = ClusterAdapter(namespace, self._host_id, _Alone(), self)
        else:
            adapter = self._inner(namespace)
        self._adapters[namespace.name] = adapter
        return adapter

    def _begin(self) -> None:
        if self._adapters:
            self.link.start(self._host)
            self.link.hear(self.channel, self._heard)

    def stats(self) -> dict[str, Any]:
        """Return whether Redis is reached, what was published, what waits, what was dropped."""
        inner = {} if self._inner is None else self._inner.stats()
        return {**inner, "bridge": self.link.stats()}

    # What we say

    def said(self, adapter: ClusterAdapter, message: Any) -> None:
        """Tell the other side what the application does here."""
        if not self._taking:
            self._pass_on(adapter, message)

    def heard(self, adapter: ClusterAdapter, message: Any) -> None:
        """Tell the other side what another server of ours says, if we speak for all."""
        if self._relay:
            self._pass_on(adapter, message)

    def ended(self, adapter: ClusterAdapter) -> None:
        """Take note of the end of a namespace; the last one ends the bridge."""
        self._adapters.pop(adapter.namespace.name, None)
        if not self._adapters:
            self.link.stop()

    def _pass_on(self, adapter: ClusterAdapter, message: Any) -> None:
        try:
            for fields in self._words(adapter, message):
                self._publish({**fields, "host_id": self._host_id})
        except LocalProtocolError as error:
            self._host.log("cluster", WARNING, f"not said to python-socketio: {error}")

    def _publish(self, fields: dict[str, Any]) -> None:
        self.link.publish(self.channel, encode_plain(fields).encode())

    def _words(self, adapter: ClusterAdapter, message: Any) -> list[dict[str, Any]]:
        """Return what python-socketio's servers say for the same; nothing where they cannot."""
        if not isinstance(message, (Broadcast, Join, Leave, Disconnect)):
            return []
        targets, namespace = message.targets, adapter.namespace.name
        excluded = sorted(targets.excluded)
        if isinstance(message, Broadcast):
            if message.request:
                return self._nothing("emit_with_ack to many")
            if not all(self._is_socket(adapter, name) for name in excluded):
                return self._nothing("except_(room)")
            data, binary = encode_data(message.args[1:])
            rooms = sorted(targets.rooms)
            return [
                {
                    "method": "emit",
                    "event": message.args[0],
                    "data": data,
                    "binary": binary,
                    "namespace": namespace,
                    "room": None if not rooms else rooms[0] if len(rooms) == 1 else rooms,
                    "skip_sid": excluded or None,
                    "callback": None,
                }
            ]
        sids = sorted(targets.rooms)
        if excluded or not sids or not all(self._is_socket(adapter, sid) for sid in sids):
            return self._nothing(f"{type(message).__name__.lower()} of many")
        if isinstance(message, Disconnect):
            return [{"method": "disconnect", "sid": sid, "namespace": namespace} for sid in sids]
        method = "enter_room" if isinstance(message, Join) else "leave_room"
        return [
            {"method": method, "sid": sid, "room": room, "namespace": namespace}
            for sid in sids
            for room in message.rooms
        ]

    def _is_socket(self, adapter: ClusterAdapter, name: str) -> bool:
        return name in adapter.namespace.sockets or len(name) == _ID_LENGTH

    def _nothing(self, what: str) -> list[dict[str, Any]]:
        if what not in self._silent:
            self._silent.add(what)
            text = (
                f"python-socketio has no words for this, so its servers do not hear of it: {what}"
            )
            self._host.log("cluster", WARNING, text)
        return []

    # What they say

    def _heard(self, _channel: bytes, payload: bytes) -> None:
        try:
            fields = read.decode(payload, self._limits)
            if type(fields) is not dict:
                raise ClusterError("a message is a map", "cluster-message-fields")
            self._follow(fields)
        except (RemoteProtocolError, LocalProtocolError) as error:
            text = f"a message on {self.channel!r} was dropped: {error}"
            self._host.log("cluster", WARNING, text)

    def _follow(self, fields: dict[str, Any]) -> None:
        sender = read.optional_text(fields, "host_id")
        if sender == self._host_id or (self._inner is not None and sender.startswith(_MARK)):
            return
        adapter = self._adapters.get(read.optional_text(fields, "namespace") or "/")
        method = fields.get("method")
        if adapter is None or method == "callback":
            return
        follow = _METHODS.get(method) if type(method) is str else None
        if follow is None:
            raise ClusterError(f"no method is called {method!r}", "cluster-type-known")
        before, self._taking = self._taking, True
        try:
            follow(self, adapter, fields)
        finally:
            self._taking = before

    def _targets(self, rooms: list[str], excluded: list[str] | None = None) -> Targets:
        return Targets(frozenset(rooms), frozenset(excluded or ()), local=not self._relay)

    def _emit(self, adapter: ClusterAdapter, fields: dict[str, Any]) -> None:
        name = fields.get("event")
        data = decode_data(fields.get("data"), binary=fields.get("binary") is True)
        args = read.event_args([name, *data])
        targets = self._targets(_names(fields.get("room")), _names(fields.get("skip_sid")))
        callback = fields.get("callback")
        if type(callback) is list and len(callback) == 3:
            self._ask(adapter, args, targets, fields)
            return
        prepared = self._host.prepare(Event(adapter.namespace.name, args))
        adapter.broadcast(prepared, targets)

    def _ask(
        self, adapter: ClusterAdapter, args: list[Any], targets: Targets, fields: dict[str, Any]
    ) -> None:
        """Ask the sockets of this server, and give each answer back as the callback's."""
        room, namespace, number = fields["callback"]
        answer = {"sid": room, "namespace": namespace, "id": number}
        for socket in adapter.selected(targets):
            reply = socket.emit_with_ack(*args)
            reply.add_done_callback(partial(self._answered, fields.get("host_id"), answer))

    def _answered(self, asker: Any, answer: dict[str, Any], reply: Any) -> None:
        if reply.exception() is None:
            args = as_values(reply.result())
            whole = {"method": "callback", "host_id": asker, **answer, "args": args}
            try:
                self._publish(whole)
            except LocalProtocolError as error:
                self._host.log("cluster", WARNING, f"a callback was not answered: {error}")

    def _enter_room(self, adapter: ClusterAdapter, fields: dict[str, Any]) -> None:
        adapter.add_sockets(self._targets([read.text(fields, "sid")]), _names(fields.get("room")))

    def _leave_room(self, adapter: ClusterAdapter, fields: dict[str, Any]) -> None:
        targets = self._targets([read.text(fields, "sid")])
        adapter.remove_sockets(targets, _names(fields.get("room")))

    def _close_room(self, adapter: ClusterAdapter, fields: dict[str, Any]) -> None:
        room = read.text(fields, "room")
        adapter.remove_sockets(self._targets([room]), [room])

    def _disconnect(self, adapter: ClusterAdapter, fields: dict[str, Any]) -> None:
        adapter.disconnect_sockets(self._targets([read.text(fields, "sid")]), False)


_METHODS: dict[str, Callable[[PythonBridge, ClusterAdapter, dict[str, Any]], None]] = {
    "emit": PythonBridge._emit,
    "enter_room": PythonBridge._enter_room,
    "leave_room": PythonBridge._leave_room,
    "close_room": PythonBridge._close_room,
    "disconnect": PythonBridge._disconnect,
}
