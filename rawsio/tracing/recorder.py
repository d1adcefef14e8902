r"""The recorder: bytes of connections in; their messages out, to files and to functions.

A :class:`Recorder` is given where to record: paths that end in ``.pcapng``, ``.har`` or ``.jsonl``,
or functions that get ``(number, item)`` for each message.  It is what ``Server(trace=...)`` and
``Client(trace=...)`` take; a proxy asks for a :class:`Tap` for each connection, and tells it what
passes.  The messages are found by a
:class:`~rawsio.explain.conversation.Conversation` from a copy of the bytes; nothing that it finds,
and no full disk, comes back to the connection.
"""

from __future__ import annotations

from rawsio import log
from rawsio.explain.conversation import Conversation, Item, Sessions
from rawsio.layer import Role, check_number
from rawsio.net.clock import wall
from rawsio.net.files import plain_path
from rawsio.net.output import MOST, Output

from . import pcapng
from .cleaning import Cleaner
from .har import Exchanges, Har
from .inside import Inside
from .jsonl import line
from .secrets import hidden

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike
    from typing import Any

    Address = tuple[str, int]
    Hearer = Callable[[int, Item], object]

__all__ = ["Recorder", "Tap"]

_PORTS = 40_000

CONVERSATION_BYTES = 1_000_000_000
"""Bytes of one direction after which its messages are no longer looked for."""


class Recorder:
    r"""Records connections; ``where`` are paths and functions.

    Without ``secrets`` credentials and session ids are replaced (:mod:`rawsio.tracing.secrets`), in
    files and in what functions get.
    ``clock`` gives seconds since 1970; ``say(text)`` hears, once, that a disk is full; ``most`` is
    the size at which a file is full.

    >>> seen = []
    >>> recorder = Recorder(lambda number, item: seen.append(item.summary), clock=lambda: 0.0)
    >>> tap = recorder.tap(("127.0.0.1", 5000), ("127.0.0.1", 80))
    >>> tap.data(Role.CLIENT, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    >>> seen
    ['request head GET /']
    """

    def __init__(
        self,
        *where: str | PathLike[str] | Hearer,
        clock: Callable[[], float] = wall,
        secrets: bool = False,
        say: Callable[[str], object] | None = None,
        most: int = MOST,
    ) -> None:
        _check(most, clock=clock, say=say)
        self.clock = clock
        self.secrets = secrets
        self.connections = 0
        """How many connections there were."""
        self._say = say if say is not None else _logged
        self._cleaner = None if secrets else Cleaner()
        self._hearers: list[Hearer] = []
        self.packets: Output | None = None
        self.har: Har | None = None
        self._lines: Output | None = None
        self._sessions = Sessions()
        self._open: dict[Tap, None] = {}
        for given in where:
            place = plain_path(given) if hasattr(given, "__fspath__") else given
            if not isinstance(place, str):
                if not callable(place):
                    raise TypeError(f"a recording goes to a path or a function, not {place!r}")
                self._hearers.append(place)
            elif place.endswith(".har"):
                self.har = Har(place, self._say, most=most)
            elif place.endswith(".jsonl"):
                self._lines = Output(place, lambda: b"", self._say, most)
            elif place.endswith(".pcapng") or place == "-":
                self.packets = Output(place, pcapng.begin, self._say, most)
            else:
                raise ValueError(
                    f"a recording ends in .pcapng, .har or .jsonl, which {place!r} does not"
                )

    @property
    def alone(self) -> str:
        """Why several processes cannot record here; empty if they can."""
        if self.packets is None and self.har is None and self._lines is None:
            return ""
        return (
            "a recording in a file is one process's: run one, or give Recorder() a function that"
            " writes where the others do not"
        )

    def tap(self, client: Address, server: Address, *, tls: bool = False) -> Tap:
        """Begin to record a connection; ``tls`` says that what is recorded was encrypted."""
        tap = Tap(self, self.connections, client, server, tls=tls)
        self.connections += 1
        self._open[tap] = None
        return tap

    # What a server or client wants of its ``trace``

    def connection(self, role: Role = Role.SERVER) -> Inside:
        """Return what the layers of a connection report to (:class:`rawsio.trace.Traced`)."""
        # The ends of a connection that is seen from within have no addresses here.
        port = _PORTS + self.connections % (65536 - _PORTS)
        return Inside(self.tap(("192.0.2.1", port), ("192.0.2.2", 80)), role)

    def session(self, _sid: str) -> Callable[[str, str, str, Any], None]:
        """Return what the layers of a session report to: their packets passed a connection."""
        return _unheard

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def shown(self, number: int, item: Item) -> Item:
        """Return a message as it may be shown."""
        return item if self._cleaner is None else self._cleaner.clean(number, item)

    def heard(self, number: int, item: Item) -> None:
        """Give a message, as it may be shown, to whoever wants messages."""
        if self._lines is not None:
            self._lines.write(line(number, item))
        for hearer in self._hearers:
            hearer(number, item)

    def conversation(self) -> Conversation:
        """Return what finds the messages of a new connection."""
        return Conversation(self._sessions)

    def forget(self, tap: Tap) -> None:
        """A connection is over."""
        self._open.pop(tap, None)
        if self._cleaner is not None:
            self._cleaner.forget(tap.number)

    def close(self) -> None:
        """End what is still recorded, and complete the files."""
        for tap in list(self._open):
            tap.close()
        for output in (self.packets, self._lines, self.har):
            if output is not None:
                output.close()


class Tap:
    """What is told of one connection; after ``reset`` or both ends nothing more counts."""

    def __init__(
        self, recorder: Recorder, number: int, client: Address, server: Address, *, tls: bool
    ) -> None:
        self.number = number
        self._recorder = recorder
        self._conversation: Conversation | None = recorder.conversation()
        self._sizes = {Role.CLIENT: 0, Role.SERVER: 0}
        self._ended: set[Role] = set()
        self._packets: pcapng.Packets | None = None
        self._exchanges: Exchanges | None = None
        if recorder.packets is not None:
            # Port 443 would be taken for ciphertext; what is recorded is not.
            port = 80 if tls and server[1] == 443 else server[1]
            self._packets = pcapng.Packets(client, (server[0], port), recorder.packets.write)
            self._packets.open(recorder.clock())
        if recorder.har is not None:
            self._exchanges = Exchanges(recorder.har, number, server, tls=tls)

    def now(self) -> float:
        """Return the time of what passes now."""
        return self._recorder.clock()

    def data(self, sender: Role, data: bytes) -> None:
        """Bytes have passed."""
        for _ in self.steps(sender, data, self.now()):
            pass

    def steps(self, sender: Role, data: bytes, now: float) -> Iterator[None]:
        """Tell that bytes have passed, with a pause behind each message, and within a long one."""
        self._sizes[sender] += len(data)
        if self._sizes[sender] > CONVERSATION_BYTES:
            self._conversation = None
        items = () if self._conversation is None else self._conversation.each(sender, data)
        whole = self._packets if self._recorder.secrets else None
        comments: list[str] = []
        for item in items:
            if item is None:
                yield
                continue
            if whole is not None:
                comments.append(_comment(item))
            self._tell([item], now)
            yield
        if whole is not None:
            whole.data(sender, data, now, "; ".join(comments))

    def end(self, sender: Role) -> None:
        """One side sends no more."""
        if sender in self._ended:
            return
        self._ended.add(sender)
        now = self._recorder.clock()
        if self._conversation is not None:
            self._tell(self._conversation.end(sender, ended=True), now)
        if self._packets is not None:
            self._packets.end(sender, now)
        if len(self._ended) == 2:
            self._finish()

    def reset(self, sender: Role) -> None:
        """One side reset the connection."""
        self._tell_rest()
        if self._packets is not None and len(self._ended) < 2:
            self._packets.reset(sender, self._recorder.clock())
        self._finish()

    def close(self) -> None:
        """The recording ends before the connection does."""
        self._tell_rest()
        self._finish()

    def _tell_rest(self) -> None:
        """Tell what is left of directions that did not end."""
        if self._conversation is not None:
            now = self._recorder.clock()
            for role in Role:
                if role not in self._ended:
                    self._tell(self._conversation.end(role), now)

    def _finish(self) -> None:
        self._ended.update(Role)
        if self._exchanges is not None:
            self._exchanges.end()
            self._exchanges = None
        self._recorder.forget(self)

    def _tell(self, items: list[Item], now: float) -> None:
        for item in items:
            item.time = now
            shown = self._recorder.shown(self.number, item)
            if self._packets is not None and not self._recorder.secrets:
                self._packets.data(item.sender, hidden(item), now, _comment(shown))
            if self._exchanges is not None:
                self._exchanges.item(shown)
            self._recorder.heard(self.number, shown)


def _check(most: Any, **hooks: Any) -> None:
    check_number("most", most)
    for name, hook in hooks.items():
        if hook is not None and not callable(hook):
            raise TypeError(f"{name}: a function is expected, not {hook!r}")


def _comment(item: Item) -> str:
    """Return what is said of a message in Wireshark: only what that does not know itself."""
    texts = [item.summary] if "Engine.IO" in item.layers else []
    return "; ".join([*texts, *([f"wrong: {item.wrong}"] if item.wrong else [])])


def _unheard(_layer: str, _direction: str, _what: str, _value: Any) -> None:
    """Hear nothing."""


def _logged(text: str) -> None:
    log.write("trace", log.WARNING, text)
