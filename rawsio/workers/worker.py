"""One worker: a server whose connections are given to it.

It is an extension of that server, so it begins and ends with it, on its loop; and it decides for
each request whether it is served here (:class:`~rawsio.workers.stack.WorkerStack` asks).
"""

from __future__ import annotations

from functools import partial

from rawsio.app.reply import Promise
from rawsio.log import ERROR, WARNING
from rawsio.net.descriptors import DescriptorChannel, detached, stream_pair
from rawsio.net.tcp import StreamState

from .bus import WorkersAdapter, WorkersLink
from .certificates import decode_certificate, encode_certificate
from .control import MOST_BYTES, Go, Leaving, Passed, Peer, Ready, Stop, Torn, decode, encode
from .owner import ANYBODY, prefix_of
from .relay import Relay
from .sharing import check_shared
from .stack import WorkerStack

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from rawsio.net.tcp import TCPStream

__all__ = ["Worker"]

_OFTEN = 0.02
"""Seconds between two looks whether a session is left."""
_LAST = 0.5
"""Seconds of the time to end in which no session is waited for: requests that came in late."""


class Worker:
    """A server in a process of its own.  ``contexts`` has the TLS of each place of the parent.

    ``control`` leads to the parent, and belongs to the worker.
    """

    def __init__(
        self, server: Any, number: int, control: socket.socket, contexts: list[Any]
    ) -> None:
        self.number = number
        self._server = server
        self._net = server.net
        self._core = server.core
        self._control = control
        self._contexts = contexts
        self._link = WorkersLink(number, server.limits, lambda other: self._say(Torn(other)))
        self._channel: DescriptorChannel | None = None
        # Others go on: they get what is new.  Nobody does.  We have told the parent that we end.
        self._retiring = self._all_end = self._leaving = False
        self._left: Promise | None = None
        self._end = 0.0

    def prepare(self) -> None:
        """Make the server one of several; raises ``ValueError`` for what it cannot share."""
        server, core = self._server, self._core
        adapter = core.config.hooks.adapter
        check_shared(server)
        if self._net.listening:
            raise ValueError("the server listens by itself: with workers, their parent does")
        core.registry.id_prefix = prefix_of(self.number)
        core.runtime.worker = self.number
        core.make_stack = partial(WorkerStack, owners=self)
        if adapter is None:
            made = WorkersAdapter(self._link)
            core.namespaces.use(made)
            core.cluster_stats = made.stats
        server.extend(self)

    def run(self) -> int:
        """Serve until the end; returns the exit status of the process."""
        self.prepare()
        server = self._server
        if server.host.needs_asyncio:
            from rawsio.net.aio import AsyncioLoop, run_coroutine

            async def serve() -> None:
                self._net.start(AsyncioLoop())
                await self._net.run_on_asyncio(self._core.close)

            run_coroutine(serve())
        else:
            server.host.begin_turns("an `async def` before the server runs")
            self._net.run(server.close)
        return 0

    # The extension

    def start(self, runtime: Any) -> None:
        """Begin to talk to the parent and to the other workers."""
        loop = runtime.loop
        self._link.start(loop, self._net.driver)
        self._channel = DescriptorChannel(loop, self._control, self._told, self._orphaned)
        loop.call_soon(self._say, Ready())

    def stop(self, deadline: float) -> Promise | None:
        """End once no session is left, and the parent passes nothing on any more."""
        if self._channel is None or self._all_end:
            return None
        self._retiring = True
        self._left, self._end = Promise(self._core.runtime), deadline
        self._leave(deadline - _LAST)
        return self._left

    def _leave(self, deadline: float) -> None:
        """Pass on what is idle, again and again; say that we leave when no session is left."""
        runtime = self._core.runtime
        for stack in self._net.stacks():
            if stack.idle:
                stack.close()
        busy = self._core.registry.sessions or self._net.driver.streams
        over = not busy or runtime.time() >= deadline
        if over and not self._leaving:
            self._leaving = True
            self._say(Leaving())
        if not self._core.closed:
            runtime.call_later(_OFTEN, self._leave, deadline)

    def _say(self, message: Any, sock: socket.socket | None = None) -> None:
        if self._channel is not None:
            self._channel.send(encode(message), sock)
        elif sock is not None:
            sock.close()

    def _orphaned(self) -> None:
        if not self._core.closing:
            self._core.runtime.log("workers", ERROR, "the parent is gone: this worker ends")
        self._all_end, self._end = True, 0.0
        self._go()
        self._server.close()

    def _go(self) -> None:
        """Wait no longer, once requests are answered and the parent has all connections."""
        runtime = self._core.runtime
        answering = self._net.driver.streams and runtime.time() < self._end
        if answering or (self._channel is not None and self._channel.waiting):
            runtime.call_later(_OFTEN, self._go)
        elif self._left is not None:
            self._left.resolve(None)

    def _told(self, data: bytes, sock: socket.socket | None) -> None:
        message = decode(data)
        if isinstance(message, Go):
            self._go()
        elif isinstance(message, Stop):
            self._retiring, self._all_end = message.retire, not message.retire
            if self._all_end:
                self._end = 0.0
                self._go()
            self._core.close(message.seconds)
        elif sock is None:
            text = "a connection did not arrive: too many files are open"
            self._core.runtime.log("workers", WARNING, text)
            if isinstance(message, Peer):
                self._say(Torn(message.number))
        elif isinstance(message, Peer):
            self._link.join(message.number, sock)
        else:
            self._serve(message, sock)

    # Connections

    def _serve(self, message: Passed, sock: socket.socket) -> None:
        sock.setblocking(False)
        if self._leaving:
            # Its session is over, as all are here: somebody who stays says so.
            message.number, message.settled = ANYBODY, True
            self._say(message, sock)
            return
        limits = self._core.limits
        try:
            address = (message.address,) if message.place < 0 else sock.getpeername()
        except OSError:  # it has gone
            sock.close()
            return
        if self._net.connections >= limits.connections:
            sock.close()
            text = f"{address[:1]}: a connection is refused: limits.connections are open"
            self._core.runtime.log("net", WARNING, text)
            return
        tls = None if message.place < 0 else self._contexts[message.place]
        secure = message.secure if message.place < 0 else tls is not None
        stack = self._net.accept(sock, address, tls, secure=secure)
        stack.show(decode_certificate(message.certificate))
        stack.take_over(message.first, settled=message.settled)

    def takes(self, number: int) -> bool:
        """Tell whether a request is served here, by whose it is."""
        return number == self.number or (number == ANYBODY and not self._retiring)

    def hand_over(self, stack: WorkerStack, number: int, first: bytes) -> None:
        """Give a connection to another worker, with what was read of it."""
        stream: Any = stack.stream
        stream.flush()  # the answer to the request before may wait for the end of the turn
        if stream.state is not StreamState.OPEN:
            return
        shown = encode_certificate(stack.certificate)
        room = MOST_BYTES - len(shown)
        if room < 0:
            stream.abort(f"its certificate takes {len(shown)} bytes: too many to be passed on")
            return
        message = Passed(number, secure=stack.secure, address=stack.address, certificate=shown)
        try:
            if stack.tls is None and not stream.buffered_amount and len(first) <= room:
                message.first = first
                self._say(message, detached(stream))
                return
            here, there = stream_pair()
        except OSError as error:
            stream.abort(f"it could not be passed on: {error.strerror}")
            return
        self._say(message, there)
        self._stand_between(stack, stream, here, first)

    def _stand_between(
        self, stack: WorkerStack, stream: TCPStream, sock: socket.socket, first: bytes
    ) -> None:
        relay = Relay(stream, self._core.runtime.loop, sock, self._core.limits)
        lost = stream.on_closed

        def closed(tag: Any, reason: str) -> None:
            relay.gone()
            if lost is not None:
                lost(tag, reason)

        stream.on_closed = closed
        stream.on_drain = lambda _stack: relay.sent()
        stream.on_high = None
        stack.relay = relay
        if stream.veil is not None:
            stream.veil.exchange(relay)
        elif stack.tls is None:
            stream.layer = relay
        else:
            secured: Any = stream.layer
            secured.upper = relay
        relay.receive(first)
