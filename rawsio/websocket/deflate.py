r"""permessage-deflate (RFC 7692): what is negotiated, and the two streams that come of it.

A compressed message is a DEFLATE stream (RFC 1951) flushed to a byte boundary, without the four
bytes ``00 00 ff ff`` that such a flush always ends with; RSV1 of its first frame says so.  The
streams of two messages may share one window ("context takeover").

Two halves: :func:`accept_offer`, :func:`offer_text` and :func:`confirm_answer` are pure functions
on header values, and result in an :class:`Agreement`; :class:`Compressor` and :class:`Inflater` do
the work.  Inflation is a function of whole frames, done in small steps.  A frame is inflated when
all its bytes are there, so that the result (and the error) does not depend on where TCP cuts; each
step yields at most 64 KiB, so that the reader can stop a bomb at its limit and check UTF-8 on the
way.

Off by default: a compressor costs 256 KiB for each connection, and compressing a secret together
with text that an attacker chooses gives the secret away by its length (CRIME); send such messages
with ``compress=False``.  ``zlib`` is imported when it is first used; where Python was built without
it, nothing is offered or accepted.
"""

from __future__ import annotations

from rawsio.errors import WebSocketError
from rawsio.layer import Role, record
from rawsio.lazy import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .extensions import Parameters

__all__ = [
    "NAME",
    "DeflateOptions",
    "Agreement",
    "available",
    "chosen",
    "accept_offer",
    "offer_text",
    "confirm_answer",
    "Compressor",
    "Inflater",
]

NAME = "permessage-deflate"

_TAIL = b"\x00\x00\xff\xff"
_FINAL_BLOCK = b"\x03\x00"  # an empty final block
_EMPTY = b"\x00"  # an empty message (RFC 7692 section 7.2.3.6)
_STEP = 65536
_SLICE = 16384
_FINAL_BLOCKS = 64  # each makes a new inflater, so their number in a message is bounded

_BITS = Pattern(r"(?:[89]|1[0-5])\Z")
_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_WINDOWS = ("server_max_window_bits", "client_max_window_bits")
_RANGES = {_WINDOWS[0]: (8, 15), _WINDOWS[1]: (8, 15), "level": (-1, 9), "memory": (1, 9)}


@record
class DeflateOptions:
    """What one side is willing to agree on, and how it compresses.

    Windows are 2**8 to 2**15 bytes.  Messages of less than ``threshold`` bytes are sent as they
    are.  ``level`` (-1 to 9) and ``memory`` (1 to 9) are those of zlib.
    """

    server_no_context_takeover: bool = False
    """Whether the server forgets its window after each message: less memory, longer messages."""
    client_no_context_takeover: bool = False
    """Whether the client does."""
    server_max_window_bits: int = 15
    """The largest window of the server, 8 to 15."""
    client_max_window_bits: int = 15
    """The largest window of the client, 8 to 15."""
    threshold: int = 1024
    """Shorter messages are sent as they are."""
    level: int = -1
    """How hard zlib tries, 1 to 9; -1 is its own choice."""
    memory: int = 8
    """How much memory it takes for that, 1 to 9."""

    def check(self) -> None:
        """Raise ``ValueError`` for values that cannot work."""
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} is from {least} to {most}, not {getattr(self, name)!r}")


@record
class Agreement:
    """What both sides agreed on (RFC 7692 section 7.1), and our own way to compress."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15
    threshold: int = 1024
    level: int = -1
    memory: int = 8

    def compressor(self, role: Role) -> Compressor:
        """Return what compresses the messages that ``role`` sends."""
        return Compressor(*self.stream(role), self.level, self.memory)

    def inflater(self, role: Role) -> Inflater:
        """Return what inflates the messages that ``role`` receives."""
        return Inflater(*self.stream(role.peer))

    def stream(self, sender: Role) -> tuple[int, bool]:
        """Return the bits of a sender's window, and whether that begins anew with each message."""
        if sender is Role.SERVER:
            return self.server_max_window_bits, self.server_no_context_takeover
        return self.client_max_window_bits, self.client_no_context_takeover


def available() -> bool:
    """Say whether this Python has ``zlib``."""
    try:
        import zlib  # noqa: F401
    except ImportError:
        return False
    return True


def chosen(option: Any) -> DeflateOptions:
    """Return what an option of a server or client stands for.

    ``True`` is :class:`DeflateOptions` as they are by default.  Raises ``TypeError`` for what is
    neither, ``ValueError`` for options that cannot work, and ``RuntimeError`` without ``zlib``.

    >>> chosen(DeflateOptions(level=10))
    Traceback (most recent call last):
    ...
    ValueError: level is from -1 to 9, not 10
    """
    options = DeflateOptions() if option is True else option
    if not isinstance(options, DeflateOptions):
        raise TypeError(
            f"per_message_deflate: True, False or a DeflateOptions(...) is expected, not {option!r}"
        )
    options.check()
    if not available():
        raise RuntimeError(
            "per_message_deflate needs the module zlib, which this Python was built without:"
            " leave the option out"
        )
    return options


# Negotiation


def accept_offer(parameters: Parameters, settings: DeflateOptions) -> tuple[Agreement, str] | None:
    """Judge one offer of a client; return what is agreed and the answer, or ``None`` to decline.

    An offer is declined for an unknown, repeated or invalid parameter (RFC 7692 section 7.1); the
    client may have offered something simpler after it.  Raises ``ValueError`` for settings that
    cannot work.

    >>> accept_offer([("server_max_window_bits", "10")], DeflateOptions())[1]
    'permessage-deflate; server_max_window_bits=10'
    """
    settings.check()
    try:
        offered = _read_parameters(parameters, optional="client_max_window_bits")
    except ValueError:
        return None
    server_fresh = settings.server_no_context_takeover or _FLAGS[0] in offered
    client_fresh = settings.client_no_context_takeover or _FLAGS[1] in offered
    server_bits = min(settings.server_max_window_bits, offered.get(_WINDOWS[0]) or 15)
    # Only a client that offers client_max_window_bits can be told to use a smaller window.
    client_bits = 15
    if _WINDOWS[1] in offered:
        client_bits = min(settings.client_max_window_bits, offered[_WINDOWS[1]] or 15)
    answer = [NAME]
    if server_fresh:
        answer.append(_FLAGS[0])
    if client_fresh:
        answer.append(_FLAGS[1])
    if server_bits < 15 or _WINDOWS[0] in offered:
        answer.append(f"{_WINDOWS[0]}={server_bits}")
    if client_bits < 15:
        answer.append(f"{_WINDOWS[1]}={client_bits}")
    agreed = Agreement(
        server_fresh,
        client_fresh,
        server_bits,
        client_bits,
        settings.threshold,
        settings.level,
        settings.memory,
    )
    return agreed, "; ".join(answer)


def offer_text(settings: DeflateOptions) -> str:
    """Return the offer of a client as an element of ``Sec-WebSocket-Extensions``.

    ``client_max_window_bits`` is always in it, so that the server may ask for a smaller window.
    Raises ``ValueError`` for settings that cannot work.

    >>> offer_text(DeflateOptions(server_max_window_bits=12))
    'permessage-deflate; server_max_window_bits=12; client_max_window_bits'
    """
    settings.check()
    parts = [NAME, *(name for name in _FLAGS if getattr(settings, name))]
    if settings.server_max_window_bits < 15:
        parts.append(f"{_WINDOWS[0]}={settings.server_max_window_bits}")
    bits = settings.client_max_window_bits
    parts.append(_WINDOWS[1] if bits == 15 else f"{_WINDOWS[1]}={bits}")
    return "; ".join(parts)


def confirm_answer(offer: Parameters, answer: Parameters, settings: DeflateOptions) -> Agreement:
    """Judge the answer of a server to our offer.

    Raises ``ValueError``, with a sentence, where the client must fail the connection: a parameter
    that is unknown, repeated or invalid, was not granted, or was granted without being asked for.
    """
    offered = _read_parameters(offer, optional="client_max_window_bits")
    answered = _read_parameters(answer, optional=None)
    if _FLAGS[0] in offered and _FLAGS[0] not in answered:
        raise ValueError(f"{_FLAGS[0]} was not granted")
    server_bits = answered.get(_WINDOWS[0]) or 15
    if server_bits > (offered.get(_WINDOWS[0]) or 15):
        raise ValueError(f"{_WINDOWS[0]} was not granted as offered")
    client_bits = settings.client_max_window_bits
    if _WINDOWS[1] in answered:
        if _WINDOWS[1] not in offered:
            raise ValueError(f"{_WINDOWS[1]} was not offered")
        client_bits = answered[_WINDOWS[1]] or 15
        if client_bits > (offered[_WINDOWS[1]] or 15):
            raise ValueError(f"{_WINDOWS[1]} is more than was offered")
    no_takeover = settings.client_no_context_takeover or _FLAGS[1] in answered
    return Agreement(
        _FLAGS[0] in answered,
        no_takeover,
        server_bits,
        client_bits,
        settings.threshold,
        settings.level,
        settings.memory,
    )


def _read_parameters(parameters: Parameters, *, optional: str | None) -> dict[str, int | None]:
    """Return the parameters by name; raises ``ValueError`` unless each is known, valid and once.

    A window has a value of 8 to 15 without leading zeros, which only ``optional`` may lack.
    """
    found: dict[str, int | None] = {}
    for name, value in parameters:
        if name in found:
            raise ValueError("a parameter is repeated")
        if name in _FLAGS and value is None:
            found[name] = None
        elif name in _WINDOWS and value is not None and _BITS.match(value):
            found[name] = int(value)
        elif name in _WINDOWS and value is None and name == optional:
            found[name] = None
        else:
            raise ValueError("a parameter is unknown or its value is not valid")
    return found


# The two streams


class Compressor:
    """Compresses the messages of one direction (RFC 7692 section 7.2.1).

    >>> compressor, inflater = Compressor(15, False), Inflater(15, False)
    >>> b"".join(inflater.inflate(compressor.compress(b"Hello")))
    b'Hello'
    """

    __slots__ = ("_arguments", "_fresh", "_stream")

    def __init__(self, bits: int, fresh: bool, level: int = -1, memory: int = 8) -> None:  # noqa: FBT001
        # zlib has no window of 2**8 for raw streams.  But it looks back at most 262 bytes less
        # than its window: with 2**9 that is 250, which a window of 2**8 holds.
        self._arguments = (level, 8, -max(bits, 9), memory)
        self._fresh = fresh
        self._stream: Any = None

    @property
    def held(self) -> int:
        """About how much memory is kept between messages (as ``zconf.h`` has it)."""
        _level, _method, bits, memory = self._arguments
        return 0 if self._stream is None else (1 << (2 - bits)) + (1 << (memory + 9))

    def relax(self) -> None:
        """Keep nothing between messages for now: the next one looks back at none before it."""
        self._stream = None

    def compress(self, payload: bytes) -> bytes:
        """Return the payload of the compressed message."""
        import zlib

        if not payload:
            return _EMPTY
        stream = self._stream or zlib.compressobj(*self._arguments)
        if not self._fresh:
            self._stream = stream
        data: bytes = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
        return data[:-4]


class Inflater:
    """Inflates the messages of one direction (RFC 7692 section 7.2.2).

    >>> inflater = Inflater(15, False)
    >>> b"".join(inflater.inflate(bytes.fromhex("f248cdc9c90700")))
    b'Hello'
    >>> b"".join(inflater.inflate(bytes.fromhex("f200110000")))
    b'Hello'
    """

    __slots__ = ("work", "_bits", "_fresh", "_stream", "_window", "_finals")

    def __init__(self, bits: int, fresh: bool) -> None:  # noqa: FBT001
        self.work = 0
        """What final blocks have cost so far: each makes a stream anew, with its window."""
        self._bits = bits
        self._fresh = fresh
        self._stream: Any = None
        # What zlib forgets at a final block, though the window goes on (section 7.2.3.4).
        self._window = bytearray()
        self._finals = 0

    @property
    def held(self) -> int:
        """About how much memory is kept between messages."""
        return len(self._window) + (0 if self._stream is None else (1 << self._bits) + 8192)

    def inflate(self, payload: bytes | bytearray) -> Iterator[bytes]:
        """Yield the data of one message in pieces of at most 64 KiB.

        Raises ``WebSocketError`` (close code 1007) where the stream is not valid.
        """
        view = memoryview(payload)
        for at in range(0, len(view), _SLICE):
            yield from self._run(view[at : at + _SLICE])
        yield from self._run(memoryview(_TAIL))
        self._end_message()

    def _run(self, data: bytes | memoryview) -> Iterator[bytes]:
        import zlib

        while True:
            if self._stream is None:
                self._stream = zlib.decompressobj(-self._bits, zdict=bytes(self._window))
            stream = self._stream
            try:
                out: bytes = stream.decompress(data, _STEP)
            except zlib.error as error:
                raise _malformed("a compressed message is not a DEFLATE stream") from error
            if out:
                self._remember(out)
                yield out
            if stream.eof:
                self._count_final_block()
                self._stream = None
                data = stream.unused_data
            else:
                data = stream.unconsumed_tail
            if not data and len(out) < _STEP:
                return

    def _remember(self, out: bytes) -> None:
        window, size = self._window, 1 << self._bits
        window += out[-size:]
        if len(window) > 2 * size:
            del window[:-size]

    def _count_final_block(self) -> None:
        self._finals += 1
        self.work += 1 << self._bits
        del self._window[: -(1 << self._bits)]
        if self._finals > _FINAL_BLOCKS:
            raise WebSocketError(
                f"a message has more than {_FINAL_BLOCKS} final blocks",
                "7692-7.2.3.4-final-blocks",
                1009,
            )

    def _end_message(self) -> None:
        """Check that the message ended where a block does; drop the stream if it is not shared.

        zlib does not say where it stands.  An empty final block tells: only between blocks does
        it end the stream.  Where the stream goes on, it is told to a copy.  (A stream that is
        gone ended with the tail, which was the rest of a final block.)
        """
        import zlib

        self._finals = 0
        stream = self._stream
        probe = stream if self._fresh or stream is None else stream.copy()
        try:
            whole = probe is None or (not probe.decompress(_FINAL_BLOCK) and probe.eof)
        except zlib.error:
            whole = False
        if not whole:
            raise _malformed("a compressed message does not end with its block", "7692-7.2.2-tail")
        if self._fresh:
            self._stream = None
            self._window.clear()


def _malformed(message: str, rule: str = "7692-7.2.2-malformed") -> WebSocketError:
    return WebSocketError(message, rule, 1007)
