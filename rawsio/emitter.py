"""``Emitter``: for programs that serve nobody, and have something to say to those who do.

A job, a web application, a script: it publishes what a server of the cluster would, so servers of
this library and Node's send it to their clients.  It hears nothing, so there are no
acknowledgements, and no sockets to be fetched.

The words may be called from any thread, and never wait: a thread of its own speaks with Redis.
Without Redis what is said waits, within bounds; :meth:`Emitter.flush` waits until it is out.
"""

from __future__ import annotations

from rawsio.app.adapter import EVERYONE, Adapter
from rawsio.app.broadcast import Broadcast as Words
from rawsio.app.broadcast import Operators
from rawsio.app.handlers import check_plain
from rawsio.app.namespace import check_server_event
from rawsio.cluster.classic import ClassicFormat
from rawsio.cluster.factory import made_of
from rawsio.cluster.messages import Broadcast, Disconnect, Join, Leave, ServerEvent
from rawsio.cluster.stream_form import StreamForm, own_stream
from rawsio.errors import ConnectionClosed, LocalProtocolError
from rawsio.layer import check_fields, record
from rawsio.limits import DEFAULT, Limits
from rawsio.log import WARNING
from rawsio.net.loop import Loop
from rawsio.net.thread import LoopThread, Waiting, call
from rawsio.redis import RedisClient, RedisOptions, RedisState
from rawsio.runtime import Runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

    from rawsio.app.adapter import Targets
    from rawsio.app.interfaces import NamespaceLike, Prepared
    from rawsio.app.reply import Gathering, Promise
    from rawsio.redis import Answer

    Form = Callable[[Any], list[Any]]

__all__ = ["Emitter", "EmitterNamespace", "EmitterOptions"]

_UID = "emitter"
_KINDS = ("classic", "streams")
_DEAF = "an emitter hears no answers: ask a server of the cluster (server_side_emit reaches them)"


@record
class EmitterOptions:
    """What a cluster is like; the names are those of its servers' options."""

    adapter: str = "classic"
    """``"classic"`` for ``RedisAdapter``, ``"streams"`` for ``StreamsAdapter``."""
    key: str = "socket.io"
    """Of the classic adapter: the first word of every channel."""
    stream_name: str = "socket.io"
    """Of the streams adapter: the name of the stream."""
    stream_count: int = 1
    """Of the streams adapter: how many streams there are."""
    max_len: int = 10_000
    """Of the streams adapter: about how many entries a stream keeps."""

    def form(self, namespace: str, limits: Limits) -> Form:
        """Return what makes a command of a message."""
        if self.adapter == "classic":
            classic = ClassicFormat(namespace, key=self.key, limits=limits)
            return lambda message: ["PUBLISH", *classic.encode(message)]
        form = StreamForm(namespace, limits)
        stream = own_stream(namespace, self.stream_name, self.stream_count)
        start = ["XADD", stream, "MAXLEN", "~", self.max_len, "*"]
        return lambda message: [*start, *form.entry(message)]


def _check_kind(kind: str, options: dict[str, Any]) -> None:
    if kind not in _KINDS:
        kinds = " or ".join(map(repr, _KINDS))
        raise ValueError(f"adapter: {kinds} is expected, not {kind!r}")
    for name in options:
        if name != "adapter" and (name == "key") is not (kind == "classic"):
            raise ValueError(f"{name} is not for the adapter {kind!r}: leave it out")


def _nothing() -> None:
    return


class EmitterNamespace(Operators):
    """The words for one namespace: ``emitter.of("/admin").to("room").emit("news")``."""

    def __init__(self, name: str, host: Runtime, form: Form, say: Callable[..., None]) -> None:
        self.name = name
        self.host: Any = host
        self.sockets: dict[str, Any] = {}
        self._handlers: Any = None
        self._opening = 0
        self.adapter: Any = _Speaker(self, form, say)

    def _aim(self) -> tuple[Iterable[NamespaceLike], Targets]:
        return (self,), EVERYONE

    def _operator(self) -> Words:
        return Words(self)

    def server_side_emit(self, name: str, *args: Any) -> None:
        """Send an event to all servers of the cluster: to their handlers of ``on_server(name)``.

        ``LocalProtocolError`` for what cannot be sent, ``ValueError`` for a reserved name.
        """
        check_server_event(name)
        self.adapter.say_now(ServerEvent(_UID, [name, *args]))

    # What operators need

    def _each(self) -> Iterable[EmitterNamespace]:
        """Return the namespaces that this one's words address: itself."""
        return (self,)

    def next_id(self) -> int:
        """Return an acknowledgement id: none is ever answered."""
        return 0

    def _vacated(self) -> None:
        """Do nothing: nobody is inside."""

    def receive_server_event(self, _args: list[Any], _answer: Any) -> None:
        """Do nothing: an emitter hears nothing."""


class _Speaker(Adapter):
    """What operators call; everything is published, and nothing is here."""

    def __init__(self, namespace: EmitterNamespace, form: Form, say: Callable[..., None]) -> None:
        super().__init__(namespace)
        self._form = form
        self._say = say

    def say_now(self, message: Any) -> None:
        """Encode a message in this thread, and publish it."""
        words = self._form(message)
        self.namespace.host.call(self._say, words)

    def broadcast(self, prepared: Prepared, targets: Targets) -> None:
        """Send a packet to the sockets of every server."""
        if targets.local:
            text = "an emitter has no clients of its own: what is emitted to them reaches nobody"
            self.namespace.host.log("cluster", WARNING, text)
            return
        self._say(self._form(Broadcast(_UID, prepared.event.args, targets)))

    def broadcast_with_ack(
        self, prepared: Prepared, targets: Targets, gathering: Gathering
    ) -> None:
        """Refuse: nobody could answer."""
        gathering.reply.fail(LocalProtocolError(_DEAF))

    def fetch_sockets(self, targets: Targets, reply: Promise[Any]) -> None:
        """Refuse: nobody could answer."""
        reply.fail(LocalProtocolError(_DEAF))

    def add_sockets(self, targets: Targets, rooms: Collection[str]) -> None:
        """Put sockets into rooms."""
        self._say(self._form(Join(_UID, targets, list(rooms))))

    def remove_sockets(self, targets: Targets, rooms: Collection[str]) -> None:
        """Take sockets out of rooms."""
        self._say(self._form(Leave(_UID, targets, list(rooms))))

    def disconnect_sockets(self, targets: Targets, close: bool) -> None:  # noqa: FBT001
        """Disconnect sockets."""
        self._say(self._form(Disconnect(_UID, targets, close)))


class Emitter(EmitterNamespace):
    """Emits into a cluster, from a program that is no server; a context manager.

    ::

        with rawsio.Emitter("redis://127.0.0.1:6379") as io:
            io.to("news").emit("headline", "...")
            io.of("/admin").in_("guests").disconnect_sockets()

    ``options`` are those of :class:`EmitterOptions`: what the servers' adapter is, most of all.
    ``redis`` says how to connect.  ``loop`` is a loop to run on instead of a thread of its own.

    Raises ``ValueError`` for a URL or an adapter that is none, ``TypeError`` for another option.
    """

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379",
        *,
        redis: RedisOptions | None = None,
        limits: Limits = DEFAULT,
        loop: Any = None,
        connect: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        self.options = made_of("Emitter", EmitterOptions, options)
        check_fields(self.options)
        _check_kind(self.options.adapter, options)
        self._options = RedisOptions.of(redis, policy="drop_oldest")
        self._address = self._options.address_of(url)
        if not isinstance(limits, Limits):
            raise TypeError(f"limits: Limits(...) are expected, not {limits!r}")
        if loop is not None and not hasattr(loop, "call_soon_threadsafe"):
            raise TypeError(f"loop: a rawsio.net.loop.Loop is expected, not {loop!r}")
        if connect is not None:
            check_plain(connect, "connect")
        self._connect = {} if connect is None else {"connect": connect}
        self._loop = Loop() if loop is None else loop
        self._thread = LoopThread(self._loop) if loop is None else None
        self._client: RedisClient | None = None
        self._closed = False
        self._said = self._failed = self._open = 0
        self._waiting: list[Callable[[], object]] = []
        host = Runtime(limits)
        host.attach(self._loop)
        super().__init__("/", host, self.options.form("/", limits), self._publish)
        if self._thread is not None:
            self._thread.start()

    def of(self, name: str) -> EmitterNamespace:
        """Return the words for another namespace; its slash may be left out."""
        if not isinstance(name, str):
            raise TypeError(f"the name of a namespace is a str, as '/admin', not {name!r}")
        name = name if name.startswith("/") else f"/{name}"
        form = self.options.form(name, self.host.limits)
        return EmitterNamespace(name, self.host, form, self._publish)

    # On the loop's thread

    def _publish(self, words: list[Any]) -> None:
        if self._closed:
            raise ConnectionClosed("the emitter is closed")
        if self._client is None:
            self._client = RedisClient(
                self._loop,
                self._address,
                self.host.limits,
                options=self._options,
                **self._connect,
            )
            self._client.start()
        self._said += 1
        self._open += 1
        self._client.execute(*words).add_done_callback(self._answered)

    def _answered(self, answer: Answer) -> None:
        self._open -= 1
        error = answer.error
        if error is not None:
            self._failed += 1
            if not self._closed:
                self.host.log("cluster", WARNING, f"an event was not published: {error}")
        if not self._open:
            waiting, self._waiting = self._waiting, []
            for done in waiting:
                done()

    def _when_out(self, done: Callable[[], object]) -> None:
        if self._open:
            self._waiting.append(done)
        else:
            done()

    def _end(self) -> None:
        self._closed = True
        if self._client is not None:
            self._client.close()

    # For the program

    def flush(self, timeout: float = 5.0) -> None:
        """Wait until Redis has taken everything that was said; ``TimeoutError`` if it does not.

        Not in the thread of a ``loop`` of your own, which would wait for itself.
        """
        out: Waiting[None] = Waiting(self._loop.owned)
        self._loop.call_soon_threadsafe(self._when_out, lambda: out.run(_nothing, ()))
        try:
            out.result(timeout)
        except TimeoutError:
            shown = self._address.shown
            raise TimeoutError(f"{self._open} events wait for {shown}") from None

    def stats(self) -> dict[str, Any]:
        """Return whether Redis is reached, how much was said, and what became of it."""
        client = self._client
        return {
            "degraded": client is None or client.state is not RedisState.READY,
            "published": self._said,
            "waiting": self._open,
            "failed": self._failed,
        }

    def close(self, timeout: float = 5.0) -> None:
        """Wait until everything is out, and end; what is not by then is lost, and logged."""
        if self._closed:
            return
        if self._thread is None:
            self._end()
            return
        if self._loop.orphaned:  # in a child process: it is the parent's
            self._closed = True
            return
        try:
            self.flush(timeout)
        except TimeoutError as error:
            self.host.log("cluster", WARNING, f"the emitter is closed: {error}")
        call(self._loop, self._end)
        self._thread.stop()
        self._loop.close()

    def __enter__(self) -> Emitter:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
