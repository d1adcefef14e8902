"""TLS below a stream instead of inside it: a socket that deciphers what it reads.

As a layer TLS sees each read first, so nobody can be offered plaintext, and the stream asks it, and
it the next layer, at each flush.  Once the handshake is done, all that is left between two ends is
records, and :class:`Veil` does those: it takes the place of the stream's socket, and the layer
above that of :class:`~rawsio.tls.Secured`.  The stream then does with a TLS connection what it does
with any other, its short ways included.

*What comes.*  ``recv`` reads as much as it is asked for, and returns all plaintext of that: nothing
that is deciphered waits here, so a client gets no more than its share of a turn.  Many short
records take time, which is weighed as the time of the layers is.

*What goes.*  ``send`` takes all that it is given, as one record if it is short.

*The first doubt* puts the layers back where they were (:meth:`Veil.put_back`): an end of either
side, an alert, a broken record, an error of the socket, ciphertext that the kernel did not take.
What was deciphered before it goes to them with it, in its order, so they find everything as if they
had read it themselves.  ``tests/net/test_veil.py`` holds both ways to each other.
"""

from __future__ import annotations

from rawsio.layer import Closing

from .driver import NO_OUTBOX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from rawsio.layer import AnyLayer, Taker

    from .driver import Driver

    Offer = Callable[[Any, bytes, float], bool]

    class Cipher(Protocol):
        """TLS (:class:`rawsio.tls.TLSConnection`)."""

        @property
        def closing(self) -> Closing: ...
        @property
        def talks(self) -> bool: ...
        @property
        def buffered(self) -> int: ...
        def unseal(self, unit: bytes, /) -> Any: ...
        def seal(self, plain: bytes, /) -> bytes: ...

    class Pile(Protocol):
        """TLS with a layer on it (:class:`rawsio.tls.Secured`)."""

        @property
        def tls(self) -> Cipher: ...
        @property
        def upper(self) -> Any: ...
        def put_back(self, events: list[Any], /) -> None: ...

    class Wearer(Protocol):
        """A stream (:class:`rawsio.net.tcp.TCPStream`)."""

        sock: Any
        layer: AnyLayer
        offer: Offer | None
        quick: Taker | None
        outbox: list[Any]

        @property
        def driver(self) -> Driver: ...
        @property
        def buffered_amount(self) -> int: ...
        def touch(self) -> None: ...
        def weigh(self, seconds: float, /) -> None: ...
        def keep_unsent(self, units: list[Any], sent: int, /) -> None: ...


__all__ = ["Veil"]

_AGAIN = (BlockingIOError, InterruptedError)
_FEW = 1024
"""Reads of more bytes may be many records: the time is taken."""
_MANY = 16
"""So many are weighed."""


class Veil:
    """What stands between a stream and its socket; see the module.

    ``offer`` is who may take a read before the layers.  It begins beside the stream, which is
    driven through ``secured``, until that calls :meth:`step_in`.
    """

    __slots__ = ("_stream", "_sock", "_recv", "_send", "_secured", "_tls", "_offer", "_quick")

    def __init__(self, stream: Wearer, secured: Pile, offer: Offer | None) -> None:
        self._stream: Any = stream
        self._sock: Any = stream.sock
        self._recv: Callable[[int], bytes] = stream.sock.recv
        self._send: Callable[[bytes], int] = stream.sock.send
        self._secured: Any = secured
        self._tls = secured.tls
        self._offer = offer
        self._quick: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def step_in(self) -> None:
        """Take the socket's place, if nothing waits to be sent."""
        stream, secured = self._stream, self._secured
        if stream.layer is not secured or stream.buffered_amount:
            return
        stream.sock, stream.layer = self, secured.upper
        stream.offer = None if stream.tag.upgraded else self._offer
        if self._quick is not None:
            self._quick.flow()

    def put_back(self, events: list[Any] | None = None) -> bool:
        """Let the layers see to everything from now on; ``events`` of TLS are seen to next.

        ``False`` if they do.
        """
        stream = self._stream
        if stream.sock is not self:
            return False
        if stream.quick is not None:
            stream.quick.clog()
            self._quick = stream.quick
        stream.sock, stream.layer = self._sock, self._secured
        stream.offer, stream.quick, stream.outbox = None, None, NO_OUTBOX
        self._secured.put_back(events or [])
        stream.touch()
        return True

    def exchange(self, layer: AnyLayer) -> None:
        """Put another layer above TLS, wherever that is."""
        self._secured.upper = layer
        if self._stream.sock is self:
            self._stream.layer = layer

    def drop(self) -> None:
        """Let go of the stream, which is over."""
        self._stream = self._secured = self._quick = self._offer = None

    @property
    def held(self) -> int:
        """How many bytes of an unfinished record are kept here, and not by a layer."""
        return self._tls.buffered if self._stream.sock is self else 0

    # As a socket

    def recv(self, size: int) -> bytes:
        """Return the plaintext of what comes."""
        try:
            data = self._recv(size)
        except OSError as error:
            if not isinstance(error, _AGAIN):
                self.put_back()
            raise
        if not data:
            self.put_back()
            return data
        if len(data) > _FEW:
            return self._recv_many(data)
        plain = self._tls.unseal(data)
        return plain if plain.__class__ is bytes else self._join(plain)

    def _recv_many(self, data: bytes) -> bytes:
        driver = self._stream.driver
        began = driver.time()
        plain = self._tls.unseal(data)
        if plain.__class__ is bytes:
            return plain
        if len(plain) > _MANY or not plain:  # or many that have no plaintext: new keys, alerts
            self._stream.weigh(driver.time() - began)
        return self._join(plain)

    def _join(self, events: list[Any]) -> bytes:
        """Return the plaintext of several records, unless something else is among them."""
        if self._tls.closing is not Closing.OPEN:
            self.put_back(events)
        elif events:
            return b"".join(events)
        elif self._tls.talks:  # an answer to what was no plaintext
            self.send(b"")
        raise BlockingIOError

    def send(self, data: bytes) -> int:
        """Send it, now or as soon as the peer takes it; return how long it is."""
        sealed = self._tls.seal(data)
        try:
            sent = self._send(sealed)
        except OSError:
            sent = 0  # the next try meets it again; to encrypt it again would leave a gap
        if sent != len(sealed):
            self.put_back()
            self._stream.keep_unsent([sealed], sent)
        return len(data)
