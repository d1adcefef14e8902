"""One end of a RESP connection: commands and replies in order, pushes between them.

Redis answers commands strictly in the order in which they came, so a client may send many before
the first reply is there (pipelining), and a reply needs no number: it belongs to the oldest
command that has none.  Two things break this simple picture, and :class:`RESPConnection` hides
both:

- **Subscriptions.**  ``SUBSCRIBE a b`` has no reply; the server confirms it by a push for each
  channel.  The connection counts these, and says :class:`~rawsio.redis.events.Completed` after the
  last.  An error (``MOVED``, ``NOPERM``) answers such a command like any other.
- **Version 2 has no pushes.**  What is published comes as an array in the place of a reply.  It is
  told apart by its first element, which is why version 2 allows few commands on a connection with
  subscriptions.  After ``HELLO 3`` a push is a type of its own.

The client's end watches over the time.  A connection with subscriptions is silent for as long as
nobody publishes, and TCP reports a peer that vanished only after minutes; so a silent connection
is asked (``PING``), and one whose oldest command stays without a reply fails.

The server's end is what a test plays Redis with.

Source: the Redis serialization protocol specification; Redis Pub/Sub.
"""

from __future__ import annotations

from collections import deque

from rawsio.errors import LocalProtocolError, RESPError, escaped
from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import DEFAULT

from .events import Command, Completed, Push, Reply
from .resp import NEED, Decoder, ErrorReply, Pushed, encode_command, encode_push, encode_value
from .states import CONFIRMED, CONNECTION, MESSAGES, REFUSED, WHILE_SUBSCRIBED, RESPState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.limits import Limits

    AnyEvent = Command | Reply | Push | Completed | Closed | Failed

__all__ = ["RESPConnection"]

_OPEN, _CLOSED = RESPState.OPEN, RESPState.CLOSED
_KINDS = {kind.encode(): kind for kind in (*CONFIRMED, *MESSAGES)}


class _Pending:
    """A command that has no reply yet."""

    __slots__ = ("automatic", "kind", "left", "names", "version", "wait")

    def __init__(self, command: Command, *, automatic: bool = False) -> None:
        args = command.args
        self.kind = str(args[0], "latin-1").lower()
        self.wait = command.wait
        self.automatic = automatic
        # The channels that a subscription names; none: an UNSUBSCRIBE from all.
        self.names: deque[bytes] | None = None
        if self.kind in CONFIRMED and len(args) > 1:
            self.names = deque(args[1:])
        # How many confirmations are still to come; counted once the command is the oldest.
        self.left: int | None = None if self.names is None else len(self.names)
        self.version: int | None = None
        if self.kind == "hello" and args[1:2] in ([b"2"], [b"3"]):
            self.version = int(args[1])


class RESPConnection:
    r"""One end of a connection to Redis: units are bytes, see the module's essay.

    A client sends ``Command`` and receives ``Reply``, ``Push`` and ``Completed``; a server the
    other way.  Both begin with version 2, and change it at the reply to ``HELLO``.

    >>> client = RESPConnection(Role.CLIENT)
    >>> client.send(Command([b"PUBLISH", b"news", b"hi"]))
    >>> client.data_to_send()
    [b'*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$2\r\nhi\r\n']
    >>> client.receive(b":3\r\n")
    [Reply(value=3)]
    >>> client.send(Command([b"SUBSCRIBE", b"news"]))
    >>> client.receive(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
    [Push(kind='subscribe', items=[b'news', 1]), Completed(kind='subscribe')]
    >>> client.receive(b"HTTP/1.1 400 Bad Request\r\n")[0].message
    "no value begins with 'H': is this a Redis server?"
    """

    __slots__ = (
        "deadline",
        "role",
        "state",
        "subscriptions",
        "version",
        "_decoder",
        "_limits",
        "_now",
        "_outbox",
        "_pending",
    )

    def __init__(self, role: Role, limits: Limits = DEFAULT) -> None:
        self.role = role
        self.version = 2
        self.state = _OPEN
        self.deadline: float | None = None
        #: Kind (``subscribe psubscribe ssubscribe``) -> the channels or patterns confirmed.
        self.subscriptions: dict[str, set[bytes]] = {
            kind: set() for kind in ("subscribe", "psubscribe", "ssubscribe")
        }
        self._limits = limits
        self._decoder = Decoder(limits, requests=role is Role.SERVER)
        self._outbox: list[bytes] = []
        self._pending: deque[_Pending] = deque()
        self._now = 0.0
        if role is Role.CLIENT:
            self.deadline = 0.0

    # The contract

    @property
    def closing(self) -> Closing:
        """``NOW`` once the connection is over."""
        return Closing.OPEN if self.state is _OPEN else Closing.NOW

    @property
    def reading(self) -> bool:
        """Whether more input is of use: a server with many commands to answer takes no more."""
        return self.role is Role.CLIENT or len(self._pending) < self._limits.resp_pending

    @property
    def buffered(self) -> int:
        """Bytes held of a value that is not whole yet."""
        return self._decoder.buffered

    @property
    def waiting(self) -> int:
        """How many commands have no reply yet."""
        return len(self._pending)

    def receive(self, data: bytes) -> list[AnyEvent]:
        """Feed bytes from the socket."""
        events: list[AnyEvent] = []
        if self.state is _CLOSED:
            return events
        take = self._take_value if self.role is Role.CLIENT else self._take_request
        heard = False
        try:
            self._decoder.feed(data)
            while (value := self._decoder.next()) is not NEED:
                take(value, events)
                heard = True
        except RESPError as error:
            self._fail(error, events)
        if self.role is Role.CLIENT and self.state is _OPEN and heard:
            self._watch()
        return events

    def receive_eof(self) -> list[AnyEvent]:
        """The peer sends no more; what is still without a reply gets none."""
        if self.state is _CLOSED:
            return []
        if self._decoder.buffered:
            events: list[AnyEvent] = []
            self._fail(RESPError("the connection ended inside a value", "resp-value-whole"), events)
            return events
        self._end()
        return [Closed(0, "transport close")]

    def send(self, event: AnyEvent) -> None:
        """Send an event.  Raises ``LocalProtocolError`` where it is illegal now."""
        after = CONNECTION[self.role][self.state].get(type(event))
        if after is None:
            raise LocalProtocolError(
                f"{type(event).__name__} may not be sent: the {self.role.value}'s end of the "
                f"connection to Redis is {self.state.value}"
            )
        if isinstance(event, Command):
            self._send_command(event)
        elif isinstance(event, Reply):
            self._send_reply(event.value)
        elif isinstance(event, Push):
            self._send_push(event)
        else:
            self._end()

    def data_to_send(self) -> list[bytes]:
        """Drain the outbox."""
        units, self._outbox = self._outbox, []
        return units

    def tick(self, now: float) -> list[AnyEvent]:
        """Tell the time: asks a silent server whether it lives, gives up one that is dead."""
        self._now = now
        deadline = self.deadline
        if self.state is _CLOSED or deadline is None:
            return []
        if deadline == 0.0:
            self._watch()
        elif now >= deadline:
            if self._pending:
                events: list[AnyEvent] = []
                head = self._pending[0]
                seconds = self._limits.resp_reply_time + head.wait
                what = f"no reply to {head.kind.upper()} for {seconds:g} s"
                self._fail(RESPError(what, "resp-reply-time"), events)
                return events
            self._request(Command([b"PING"]), automatic=True)
            self._watch()
        return []

    # A client's end: what comes

    def _take_value(self, value: Any, events: list[AnyEvent]) -> None:
        if isinstance(value, Pushed):
            self._take_push(value.items, events)
        elif self.version == 2 and self._is_push(value):
            self._take_push(value, events)
        else:
            self._take_reply(value, events)

    def _is_push(self, value: Any) -> bool:
        """Tell whether an array of version 2 was said unasked."""
        if type(value) is not list or not value or type(value[0]) is not bytes:
            return False
        kind = _KINDS.get(value[0])
        if kind in MESSAGES:
            return any(self.subscriptions.values())
        return kind is not None and len(value) == 3 and type(value[2]) is int

    def _take_push(self, items: list[Any], events: list[AnyEvent]) -> None:
        if not items or not isinstance(items[0], (bytes, str)):
            raise RESPError("a push begins with a word that says what it is", "resp-push-kind")
        first = items[0]
        kind = first if isinstance(first, str) else str(first, "utf-8", "replace")
        events.append(Push(kind, items[1:]))
        if kind in CONFIRMED and self._confirm(kind, items[1] if len(items) > 1 else None):
            events.append(Completed(kind))

    def _confirm(self, kind: str, name: Any) -> bool:
        """Count a confirmation; tell whether it was the last of the oldest command."""
        named = self.subscriptions[CONFIRMED[kind]]
        head = self._pending[0] if self._pending else None
        asked = head is not None and head.kind == kind
        if head is None or not asked or (head.names and head.names[0] != name):
            if kind != "sunsubscribe":  # which a cluster says by itself when a slot moves
                raise RESPError(
                    f"a confirmation of {kind} {escaped(repr(name))} that nobody asked for",
                    "resp-confirmation-expected",
                )
            named.discard(name)
            return False
        if head.left is None:
            head.left = max(1, len(named))
        if head.names:
            head.names.popleft()
        if kind == CONFIRMED[kind]:
            named.add(name)
        else:
            named.discard(name)
        head.left -= 1
        if head.left:
            return False
        self._pending.popleft()
        return True

    def _take_reply(self, value: Any, events: list[AnyEvent]) -> None:
        if not self._pending:
            raise RESPError(
                f"a reply that no command asked for: {escaped(repr(value))}", "resp-reply-expected"
            )
        if self._pending[0].kind in CONFIRMED and not isinstance(value, ErrorReply):
            raise RESPError(
                f"{self._pending[0].kind} is confirmed by a push, {escaped(repr(value))} came",
                "resp-confirmation-expected",
            )
        head = self._pending.popleft()
        self._settle(head, value)
        if not head.automatic:
            events.append(Reply(value))

    def _settle(self, head: _Pending, value: Any) -> None:
        """Do what a reply does to the connection: another version, no subscriptions any more."""
        if isinstance(value, ErrorReply):
            return
        if head.version is not None:
            self.version = head.version
        elif head.kind == "reset":
            self.version = 2
            for names in self.subscriptions.values():
                names.clear()

    # A client's end: what is sent

    def _send_command(self, command: Command) -> None:
        args = command.args
        if not args or not all(type(arg) is bytes for arg in args):
            raise LocalProtocolError(
                f"a command is a list of bytes, the name first (see rawsio.redis.command), "
                f"not {args!r}"
            )
        name = str(args[0], "latin-1").lower()
        if name in REFUSED or (name == "client" and [a.lower() for a in args[1:2]] == [b"reply"]):
            raise LocalProtocolError(
                f"{name.upper()} may not be sent: replies would no longer answer commands"
            )
        if self.version == 2 and name not in WHILE_SUBSCRIBED and self._subscribing():
            raise LocalProtocolError(
                f"{name.upper()} may not be sent on a connection with subscriptions: use a second "
                f"connection, or HELLO 3"
            )
        if len(self._pending) >= self._limits.resp_pending:
            raise LocalProtocolError(
                f"{len(self._pending)} commands wait for their replies (Limits.resp_pending)"
            )
        if not self._pending:
            self.deadline = 0.0
        self._request(command)

    def _subscribing(self) -> bool:
        return any(self.subscriptions.values()) or any(p.kind in CONFIRMED for p in self._pending)

    def _request(self, command: Command, *, automatic: bool = False) -> None:
        self._pending.append(_Pending(command, automatic=automatic))
        self._outbox.append(encode_command(command.args))

    def _watch(self) -> None:
        """Set the deadline: of the oldest command's reply, or of the next PING."""
        limits = self._limits
        if self._pending:
            self.deadline = self._now + limits.resp_reply_time + self._pending[0].wait
        else:
            self.deadline = self._now + limits.resp_ping

    # A server's end

    def _take_request(self, value: Any, events: list[AnyEvent]) -> None:
        if len(self._pending) >= self._limits.resp_pending:
            raise RESPError(
                f"more than {self._limits.resp_pending} commands wait for their replies",
                "resp-pending-bound",
            )
        command = Command(value)
        self._pending.append(_Pending(command))
        events.append(command)

    def _send_reply(self, value: Any) -> None:
        if not self._pending:
            raise LocalProtocolError("a reply may not be sent: no command waits for one")
        head = self._pending[0]
        if head.kind in CONFIRMED and not isinstance(value, ErrorReply):
            raise LocalProtocolError(
                f"{head.kind} is confirmed by a Push for each channel; its Reply can be an "
                f"ErrorReply alone"
            )
        version = self.version
        if head.version is not None and not isinstance(value, ErrorReply):
            version = head.version
        if version == 2 and self._is_push(value):
            raise LocalProtocolError("version 2 cannot tell this reply from a push")
        unit = self._encoded(encode_value, value, version)
        self._pending.popleft()
        self._settle(head, value)
        self._outbox.append(unit)

    def _send_push(self, push: Push) -> None:
        kind, items = push.kind, push.items
        name = items[0] if items else None
        if kind in CONFIRMED:
            self._check_confirmation(kind, items)
        elif kind in MESSAGES and not any(self.subscriptions.values()):
            raise LocalProtocolError(f"a {kind} may not be sent: the client has no subscriptions")
        elif kind not in MESSAGES and self.version == 2:
            raise LocalProtocolError(f"version 2 has no push of the kind {kind!r}")
        unit = self._encoded(encode_push, [kind.encode(), *items], self.version)
        if kind in CONFIRMED:
            self._confirm(kind, name)
        self._outbox.append(unit)

    def _check_confirmation(self, kind: str, items: list[Any]) -> None:
        head = self._pending[0] if self._pending else None
        asked = head is not None and head.kind == kind
        if len(items) != 2 or type(items[1]) is not int:
            raise LocalProtocolError("a confirmation is the name and the number of subscriptions")
        if items[0].__class__ is not bytes and not (items[0] is None and kind[-11:-9] == "un"):
            raise LocalProtocolError(f"the name of a channel is bytes, not {items[0]!r}")
        if kind == "sunsubscribe" and items[0] in self.subscriptions["ssubscribe"]:
            return
        if head is None or not asked or (head.names and head.names[0] != items[0]):
            raise LocalProtocolError(f"no command asked for a confirmation of {kind} {items[0]!r}")

    def _encoded(self, encode: Any, value: Any, version: int) -> bytes:
        try:
            unit: bytes = encode(value, version)
        except (TypeError, ValueError) as error:
            raise LocalProtocolError(str(error)) from error
        return unit

    # The end

    def _fail(self, error: RESPError, events: list[AnyEvent]) -> None:
        if self.role is Role.SERVER:
            goodbye = ErrorReply("ERR", f"Protocol error: {error.message}")
            self._outbox.append(encode_value(goodbye, self.version))
        events.append(error.as_event())
        self._end()

    def _end(self) -> None:
        self.state = _CLOSED
        self.deadline = None
        self._pending.clear()
        self._decoder = Decoder(self._limits)
