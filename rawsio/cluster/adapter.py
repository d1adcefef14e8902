"""The adapter of one namespace in a cluster: done here first, then told to the others.

Every operation is applied to the sockets of this server at once, whatever the state of the
network, and then published.  What another server publishes is applied to the sockets here.  The
wire form and the bus that carries it are arguments, so this is the one place that says what the
operations mean.

A server listens as soon as it is counted, and it is counted because it listens, so it must answer
every request, with zero sockets too; one that stays silent holds up all the others.
"""

from __future__ import annotations

from functools import partial

from rawsio.app.adapter import Adapter, Targets
from rawsio.app.reply import Collected, Promise
from rawsio.errors import LocalProtocolError
from rawsio.log import WARNING
from rawsio.socketio.packets import Event

from .fields import ClusterError
from .messages import (
    AllRooms,
    Broadcast,
    ClientAnswer,
    ClientCount,
    Disconnect,
    Fetch,
    Join,
    Leave,
    RoomsAnswer,
    ServerAnswer,
    ServerEvent,
    SocketsAnswer,
)
from .remote import RemoteSocket, as_fields
from .requests import Question, Silence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any, Protocol

    from rawsio.app.interfaces import NamespaceLike, Prepared
    from rawsio.app.reply import Gathering

    class Bus(Protocol):
        """What carries the messages of one namespace."""

        timeout: float
        """Seconds that a request waits for answers."""

        def start(self, received: Callable[[Any], None]) -> None:
            """Begin to listen, in the first turn of the loop that the server will run on."""

        def stop(self) -> None:
            """Listen no more."""

        def publish(self, message: Any, to: str = "") -> None:
            """Say something to all other servers; never raises and never waits."""

        def count(self, counted: Callable[[int | None], None]) -> None:
            """Call ``counted`` with the number of servers that listen, ``None`` if nobody knows."""

        def nodes(self) -> list[str]:
            """Return the names of the other servers, as far as they are known."""
            ...

    class Listener(Protocol):
        """Who is told of what the application does, and of what other servers say."""

        def said(self, adapter: ClusterAdapter, message: Any, /) -> None:
            """Hear of an operation of this server."""

        def heard(self, adapter: ClusterAdapter, message: Any, /) -> None:
            """Hear of a message of another server, before it is followed."""

        def ended(self, adapter: ClusterAdapter, /) -> None:
            """Hear of the end of an adapter."""


__all__ = ["ClusterAdapter"]


class ClusterAdapter(Adapter):
    """Rooms of one namespace, on many servers.  ``uid`` is the name of this server."""

    def __init__(
        self, namespace: NamespaceLike, uid: str, bus: Bus, listener: Listener | None = None
    ) -> None:
        super().__init__(namespace)
        self.uid = uid
        self._listener = listener
        self._bus = bus
        self._questions: dict[str, Question] = {}
        self._silence = Silence()
        self._askings: dict[str, _Asking] = {}

    def init(self) -> None:
        """Join the cluster."""
        self._bus.start(self._received)

    def close(self) -> None:
        """Leave the cluster."""
        self._bus.stop()
        if self._listener is not None:
            self._listener.ended(self)
        for question in list(self._questions.values()):
            question.expire()

    def server_count(self) -> int:
        """Return the number of servers in the cluster that are known to live, this one included."""
        return 1 + len(self._bus.nodes())

    # What is asked for here

    def broadcast(self, prepared: Prepared, targets: Targets) -> None:
        """Send a packet to the sockets of every server."""
        super().broadcast(prepared, targets)
        if not targets.local:
            self._publish(Broadcast(self.uid, prepared.event.args, targets))

    def broadcast_with_ack(
        self, prepared: Prepared, targets: Targets, gathering: Gathering
    ) -> None:
        """Send a packet to the sockets of every server, and gather their acknowledgements."""
        if targets.local:
            super().broadcast_with_ack(prepared, targets, gathering)
            return
        request = self._new_request()
        asking = _Asking(request, gathering, partial(self._askings.pop, request, None))
        self._askings[request] = asking
        gathering.reply.add_done_callback(lambda _: asking.forget())
        sockets = self.selected(targets)
        gathering.expect([socket.id for socket in sockets])
        for socket in sockets:
            socket._ask(prepared, gathering)
        self._publish(Broadcast(self.uid, prepared.event.args, targets, request))
        self._bus.count(asking.counted)

    def fetch_sockets(self, targets: Targets, reply: Promise) -> None:
        """Answer with the sockets of every server: ``Socket`` of this one, ``RemoteSocket``."""
        found = self.selected(targets)
        if targets.local:
            reply.resolve(Collected(found))
            return
        self._ask(found, reply, lambda request: Fetch(self.uid, request, targets), targets.timeout)

    def add_sockets(self, targets: Targets, rooms: Collection[str]) -> None:
        """Put sockets into rooms."""
        super().add_sockets(targets, rooms)
        if not targets.local:
            self._publish(Join(self.uid, targets, list(rooms)))

    def remove_sockets(self, targets: Targets, rooms: Collection[str]) -> None:
        """Take sockets out of rooms."""
        super().remove_sockets(targets, rooms)
        if not targets.local:
            self._publish(Leave(self.uid, targets, list(rooms)))

    def disconnect_sockets(self, targets: Targets, close: bool) -> None:  # noqa: FBT001
        """Disconnect sockets."""
        super().disconnect_sockets(targets, close)
        if not targets.local:
            self._publish(Disconnect(self.uid, targets, close))

    def server_side_emit(self, args: list[Any], reply: Promise) -> None:
        """Send an event to the other servers; the answer is a list with one value of each."""
        self._ask([], reply, lambda request: ServerEvent(self.uid, args, request), None)

    def all_rooms(self, reply: Promise) -> None:
        """Answer with the names of all rooms of all servers."""
        self._ask(sorted(self.rooms), reply, lambda request: AllRooms(self.uid, request), None)

    def _ask(
        self,
        items: Iterable[Any],
        reply: Promise,
        message: Callable[[str], Any],
        timeout: float | None,
    ) -> None:
        request = self._new_request()
        seconds = self._bus.timeout if timeout is None else timeout
        ended = partial(self._question_ended, request, reply)
        patient = seconds >= self._bus.timeout
        question = Question(items, ended, self._silence, self._linger, patient=patient)
        self._questions[request] = question

        def counted(servers: int | None) -> None:
            if question.done:
                return
            if servers is None:  # there is no connection to the others
                question.expire()
                return
            self._publish(message(request))
            question.expect(max(0, servers - 1))

        question.timer = self.namespace.host.call_later(seconds, question.expire)
        self._bus.count(counted)

    def _linger(self, question: Question) -> None:
        """Wait for those who did not answer the last question, but not for long."""
        host = self.namespace.host
        host.call_later(host.limits.cluster_silent_time, question.expire)

    def _question_ended(self, request: str, reply: Promise, question: Question) -> None:
        self._questions.pop(request, None)
        missing = []
        if question.expected is None or question.answered < question.expected:
            missing = question.silent(self._bus.nodes())
            self.namespace.host.log(
                "cluster", WARNING, f"servers that did not answer a request: {', '.join(missing)}"
            )
        if question.patient and question.expected is not None:
            self._silence.learn(missing)
        reply.resolve(Collected(question.items, missing))

    def _new_request(self) -> str:
        return self.namespace.host.random_bytes(8).hex()

    def _publish(self, message: Any, to: str = "") -> None:
        self._tell(message)
        try:
            self._bus.publish(message, to)
        except LocalProtocolError as error:
            # What JSON cannot carry (bytes in a request): it was done here, and nowhere else.
            what = type(message).__name__
            self.namespace.host.log("cluster", WARNING, f"{what} was not published: {error}")

    def _tell(self, message: Any) -> None:
        """Let the listener know what the application does."""
        if self._listener is not None:
            self._listener.said(self, message)

    def node_left(self, uid: str) -> None:
        """Take note that another server has gone."""
        self._silence.left(uid)
        for question in list(self._questions.values()):
            question.left(uid)

    # What others say

    def _received(self, message: Any) -> None:
        uid = getattr(message, "uid", "")
        if uid == self.uid:
            return
        self._silence.heard(uid)
        handle = _HANDLERS.get(type(message))
        if handle is not None:
            if self._listener is not None:
                self._listener.heard(self, message)
            try:
                handle(self, message)
            except (LocalProtocolError, ClusterError) as error:
                what = type(message).__name__
                text = f"a {what} of another server was dropped: {error}"
                self.namespace.host.log("cluster", WARNING, text)

    def _prepared(self, message: Broadcast, number: int | None = None) -> Prepared:
        event = Event(self.namespace.name, message.args, number)
        prepared: Prepared = self.namespace.host.prepare(event, compress=message.targets.compress)
        return prepared

    def _take_broadcast(self, message: Broadcast) -> None:
        if not message.request:
            self.deliver_theirs(message)
            return
        number = self.namespace.next_id()
        prepared = self._prepared(message, number)
        asked = _Asked(self, message, number)
        sockets = self.selected(message.targets)
        asked.expect([socket.id for socket in sockets])
        for socket in sockets:
            socket._ask(prepared, asked)

    def deliver_theirs(self, message: Broadcast) -> None:
        """Send the event of another server to the sockets here."""
        chosen = self.selected(message.targets)
        if chosen:
            self.send_to(chosen, self._prepared(message), message.targets)

    def _take_join(self, message: Join) -> None:
        super().add_sockets(message.targets, message.rooms)

    def _take_leave(self, message: Leave) -> None:
        super().remove_sockets(message.targets, message.rooms)

    def _take_disconnect(self, message: Disconnect) -> None:
        super().disconnect_sockets(message.targets, message.close)

    def _take_fetch(self, message: Fetch) -> None:
        sockets = [as_fields(socket) for socket in self.selected(message.targets)]
        try:
            self._bus.publish(SocketsAnswer(message.request, sockets, self.uid), message.uid)
        except LocalProtocolError as error:
            # An answer must go out all the same: leave out what has no form.
            text = f"socket.data cannot be shown to other servers: {error}"
            self.namespace.host.log("cluster", WARNING, text)
            bare = [{**fields, "data": {}} for fields in sockets]
            self._publish(SocketsAnswer(message.request, bare, self.uid), message.uid)

    def _take_all_rooms(self, message: AllRooms) -> None:
        self._publish(RoomsAnswer(message.request, sorted(self.rooms), self.uid), message.uid)

    def _take_server_event(self, message: ServerEvent) -> None:
        def answer(*values: Any) -> None:
            self._publish(ServerAnswer(message.request, list(values), self.uid), message.uid)

        self.namespace.receive_server_event(message.args, answer if message.request else None)

    # Answers

    def _take_sockets(self, message: SocketsAnswer) -> None:
        question = self._questions.get(message.request)
        if question is not None:
            found = [RemoteSocket(self.namespace, fields) for fields in message.sockets]
            new = question.unseen(found)
            if new or not found:  # else it is an answer for the second time, or a false one
                question.add(new, message.uid)

    def _take_rooms(self, message: RoomsAnswer) -> None:
        question = self._questions.get(message.request)
        if question is not None:
            known = set(question.items)
            question.add([room for room in message.rooms if room not in known], message.uid)

    def _take_server_answer(self, message: ServerAnswer) -> None:
        question = self._questions.get(message.request)
        if question is not None:
            values = message.values
            question.add([tuple(values) if len(values) > 1 else _only(values)], message.uid)

    def _take_client_count(self, message: ClientCount) -> None:
        asking = self._askings.get(message.request)
        if asking is not None:
            asking.asked(message.count, message.sids, message.uid)

    def _take_client_answer(self, message: ClientAnswer) -> None:
        asking = self._askings.get(message.request)
        if asking is not None:
            asking.answered(message.sid, message.values)


def _only(values: list[Any]) -> Any:
    return values[0] if values else None


_HANDLERS: dict[type, Callable[[Any, Any], None]] = {
    Broadcast: ClusterAdapter._take_broadcast,
    Join: ClusterAdapter._take_join,
    Leave: ClusterAdapter._take_leave,
    Disconnect: ClusterAdapter._take_disconnect,
    Fetch: ClusterAdapter._take_fetch,
    AllRooms: ClusterAdapter._take_all_rooms,
    ServerEvent: ClusterAdapter._take_server_event,
    SocketsAnswer: ClusterAdapter._take_sockets,
    RoomsAnswer: ClusterAdapter._take_rooms,
    ServerAnswer: ClusterAdapter._take_server_answer,
    ClientCount: ClusterAdapter._take_client_count,
    ClientAnswer: ClusterAdapter._take_client_answer,
}


class _Asking:
    """A broadcast of ours with acknowledgements: the part of the other servers.

    Each of them first says how many sockets it asked.  Servers of this library name them; the
    others' are numbered here, in the order in which they answer.  An answer that overtakes what
    its server says of it counts as well, and one that comes twice counts once.
    """

    __slots__ = (
        *("_counts", "_done", "_gathering", "_nameless", "_servers", "_taken"),
        *("_answered", "_uids", "forget", "request"),
    )

    def __init__(self, request: str, gathering: Gathering, forget: Callable[[], Any]) -> None:
        self.request = request
        self.forget = forget
        self._gathering = gathering
        self._servers: int | None = None
        self._counts = 0
        self._uids: set[str] = set()
        self._answered: set[str] = set()
        self._nameless = 0
        self._taken = 0
        self._done = False

    def counted(self, servers: int | None) -> None:
        """Take the number of servers that listen."""
        self._servers = 0 if servers is None else max(0, servers - 1)
        self._check()

    def asked(self, count: int, sids: list[str], uid: str) -> None:
        """Take what one server says of its sockets."""
        if uid and uid in self._uids:
            return
        self._uids.add(uid)
        self._counts += 1
        if len(sids) != count:
            first = self._nameless
            self._nameless += count
            sids = [self._name(n) for n in range(first, self._nameless)]
        self._gathering.expect(sid for sid in sids if sid not in self._answered)
        self._check()

    def answered(self, sid: str, values: list[Any]) -> None:
        """Take the acknowledgement of one socket."""
        if not sid:
            sid = self._name(self._taken)
            self._taken += 1
        if sid in self._answered:
            return
        self._answered.add(sid)
        if not self._done:
            self._gathering.expect((sid,))  # its server may not have said so yet
        self._gathering.answered(sid, values)

    def _name(self, number: int) -> str:
        return f"{self.request}#{number}"

    def _check(self) -> None:
        if not self._done and self._servers is not None and self._counts >= self._servers:
            self._done = True
            self._gathering.complete()


class _Asked:
    """A broadcast of another server with acknowledgements: passes on what the sockets here say.

    It has the methods of a ``Gathering`` that sockets call.
    """

    __slots__ = ("_adapter", "_message", "_number", "_sids")

    def __init__(self, adapter: ClusterAdapter, message: Broadcast, number: int) -> None:
        self._adapter = adapter
        self._message = message
        self._number = number
        self._sids: list[str] = []

    def expect(self, sids: list[str]) -> None:
        """Say how many sockets are asked, and forget them when the asker's time is over."""
        self._sids = sids
        adapter, message = self._adapter, self._message
        count = ClientCount(message.request, len(sids), sids, adapter.uid)
        adapter._publish(count, message.uid)
        if sids:
            host = adapter.namespace.host
            seconds = message.targets.timeout
            host.call_later(host.limits.ack_time if seconds is None else seconds, self._forget)

    def answered(self, sid: str, values: list[Any]) -> None:
        """Pass an acknowledgement on."""
        adapter, message = self._adapter, self._message
        adapter._publish(ClientAnswer(message.request, values, sid, adapter.uid), message.uid)

    def lost(self, _sid: str, _reason: str) -> None:
        """There will be none.  The wire has no word for it: the asker's time-out tells."""

    def _forget(self) -> None:
        for sid in self._sids:
            socket = self._adapter.namespace.sockets.get(sid)
            if socket is not None:
                socket._forget(self._number)
