"""Every bound on size, count and time, in one record.

A peer decides what it sends, we decide what it costs.  Each number here is finite by default and
enforced *while reading*: a head is refused at the byte that makes it too long, a frame at its
length field.  ``Server(limits=Limits(head=32768))`` changes one.

Sizes are bytes, times are seconds, rates are per second.  The options that the reference server has
too (``ping_interval``, ``max_http_buffer_size``, ...) are keywords of ``Server``:
``max_http_buffer_size`` sets ``body`` and ``message`` here.
"""

from __future__ import annotations

from .errors import meant
from .layer import check_number, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Limits", "DEFAULT"]

_SHARES = ("turn_frames", "turn_bytes", "receive_size")


@record
class Limits:
    """The bounds of a server or a client.

    >>> Limits(attachments=20).attachments, Limits().attachments
    (20, 10)
    >>> Limits().but(head=32768).head
    32768
    """

    # HTTP/1.1
    start_line: int = 8192
    """Longest request or status line: RFC 9112 section 3 asks for 8000 at least."""
    field: int = 8192
    """Longest field line: cookies and tokens fit, and a head holds several of them."""
    fields: int = 100
    """Most field lines in a head or a trailer section."""
    head: int = 16384
    """Longest head, request line included; also the longest trailer section."""
    chunk_line: int = 256
    """Longest chunk-size line: extensions are legal and ignored, so they must be cheap."""
    body: int = 1_000_000
    """Longest request or response body (``max_http_buffer_size``)."""
    written: int = 16_000_000
    """Most bytes that a WSGI application may give to ``write`` at a time; what it returns is sent
    piece by piece, without an end."""
    interim: int = 100
    """Most interim (1xx) responses before a final one: they would hold a client for ever."""
    pipeline: int = 16384
    """Unparsed bytes behind a request in work at which reading pauses; what was read before may go
    beyond, by no more than ``read_ahead``."""
    head_time: float = 10.0
    """A head must be whole this long after its first byte (slowloris)."""
    idle_time: float = 60.0
    """A connection without a request in work is closed after this."""
    body_time: float = 10.0
    """Grace before the minimum rate of a body counts."""
    body_rate: float = 500
    """A body slower than this many bytes a second, after its grace, ends in a 408."""

    # WebSocket
    message: int = 1_000_000
    """Longest message, all fragments together, and after inflation (close code 1009)."""
    fragments: int = 1024
    """Most fragments of one message: their cost is in their number, not in their bytes."""
    pongs: int = 16
    """Most pongs that wait to be sent; beyond, only the latest ping is answered."""
    close_time: float = 10.0
    """How long the closing handshake may take."""

    # Engine.IO
    payload_packets: int = 1000
    """Most packets in one polling payload: an honest burst has hundreds."""
    upgrade_time: float = 10.0
    """How long the probe of a better transport may take (``upgrade_timeout``)."""
    poll_grace: float = 30.0
    """How long a closed polling session waits for the poll that takes its last packets."""
    unpolled: int = 100_000
    """Most packets that wait for a poll: who posts but never polls is cut off.  A client with as
    many that wait to be posted begins no poll."""
    unpolled_bytes: int = 262_144
    """Bytes that wait for a poll, above which what the client posts waits as well."""
    sessions: int = 65536
    """Most sessions at a time; above, the oldest that has joined no namespace makes room."""
    sessions_per_address: int = 1_000_000_000
    """Most sessions at a time of one address.  Only a number below ``sessions`` has an effect, and
    the default has none: behind a proxy all clients have the same address."""
    handshakes_per_second: float = 10_000
    """Most new sessions a second of one address, averaged over ten seconds."""

    # Socket.IO
    connect_time: float = 45.0
    """A session that has joined no namespace after this is closed (``connect_timeout``)."""
    attachments: int = 10
    """Most binary attachments of a packet; official peers refuse more than 10 as well."""
    attachment_bytes: int = 8_000_000
    """Most bytes of all the attachments of one packet together."""
    attachment_time: float = 30.0
    """How long the attachments of one packet may take to arrive."""
    json_depth: int = 100
    """Deepest nesting of arrays and objects: checked before parsing, so nothing recurses."""
    containers: int = 350_000
    """Most arrays and objects in one packet: each takes a hundred bytes of memory, and the garbage
    collector of Python goes over all of them at once.  An honest megabyte has a third as many."""
    packet_id: int = 2**53 - 1
    """Highest acknowledgement id: the largest integer that every peer represents exactly."""
    credentials: int = 65_536
    """Longest payload of a CONNECT, which is kept for as long as its socket lives."""
    credentials_memory: int = 262_144
    """Most memory that the payloads of all CONNECTs of one connection take, read: sixty kilobytes
    of ``[],`` become a megabyte."""
    namespaces: int = 16
    """Most namespaces that one connection may have joined or be joining."""
    namespace_name: int = 512
    """Longest name of a namespace."""
    rooms: int = 1000
    """Most rooms that one socket may be in."""
    pending_acks: int = 10_000
    """Most acknowledgements that one connection may owe us."""
    ack_time: float = 10.0
    """How long a broadcast waits for acknowledgements when no ``timeout`` was given."""
    child_namespaces: int = 10_000
    """Most namespaces that clients may have made by asking for names that a parent welcomes."""
    recovery_packets: int = 10_000
    """Most packets that a namespace keeps for clients that were cut off."""
    recovery_bytes: int = 16_000_000
    """Most bytes of them."""
    recovery_sessions: int = 10_000
    """Most sessions of clients that were cut off, for each namespace."""
    recovery_data: int = 65_536
    """Most bytes of a socket's ``data``, as JSON, that are written to a recovery's file."""
    recovery_wait: float = 1.0
    """How long packets wait for a recovery's file before they are sent all the same."""
    queued_events: int = 1000
    """Most events of one connection that wait for their handler; reading pauses above it."""
    queued_bytes: int = 16_000_000
    """The same in bytes, as much as is made of them: a list or an object counts as 64, an item as 8
    more than its text."""
    events_per_second: float = 50_000
    """Most packets a second of one connection, averaged over ten seconds."""

    # The durable queue
    queue_message: int = 262_144
    """Longest body of a message, encoded, attachments included."""
    queue_messages: int = 100_000
    """Most messages that a queue holds, dead letters included, unless it has its own bound."""
    queue_bytes: int = 256_000_000
    """Most bytes of their bodies together."""
    queue_waiting: int = 10_000
    """Most operations of one queue that wait for the disk; further publishes are refused."""
    queue_waiting_bytes: int = 16_000_000
    """Most bytes of bodies that wait for the disk."""
    queue_batch: int = 2000
    """Most operations of one queue in one transaction: a longer one holds everybody up."""
    queue_many: int = 1000
    """Most messages of one ``publish_many`` or ``peek``, and most tokens of one ``ack``."""
    queue_credit: int = 1000
    """Most messages that one consumer may hold."""
    queue_consumers: int = 10_000
    """Most consumers of one queue."""
    queue_key: int = 256
    """Longest ``key`` or ``group`` of a message, in characters."""
    queue_error: int = 1000
    """Longest text of an error that is kept with a message; the rest is cut off."""
    queue_silence: float = 10.0
    """Seconds after which a server that does not speak to Redis loses what its consumers hold."""

    held_up_time: float = 5.0
    """A handler that has not ended after this, while further events of its connection wait for it,
    is named in the log."""
    slow_handler: float = 0.25
    """A handler or application that blocks the loop for longer is named in the log."""

    # A client
    kept_events: int = 1000
    """Most events that a client keeps until somebody listens to them; the oldest go first."""
    kept_bytes: int = 16_000_000
    """The same in bytes of memory; and of those that it keeps to be sent, as they will be sent."""
    kept_emits: int = 1000
    """Most events that a client keeps to be sent once it is connected."""

    # Redis
    resp_line: int = 65_536
    """Longest line of a reply: simple strings and errors are short, Redis itself stops at 64 KB."""
    resp_value: int = 64_000_000
    """Most bytes of one reply or push: Redis cuts subscribers at 32 MB of output."""
    resp_elements: int = 1_000_000
    """Most elements of one reply, those of nested arrays included."""
    resp_depth: int = 32
    """Deepest nesting of arrays in a reply: Redis answers with six at most."""
    resp_pending: int = 10_000
    """Most commands that wait for their replies on one connection."""
    resp_ping: float = 2.0
    """A connection that was silent for this long is asked whether it lives (``PING``)."""
    resp_reply_time: float = 5.0
    """How long the oldest command may wait for its reply before the connection counts as dead."""
    redis_silence: float = 2.0
    """A host of Redis that acknowledges nothing for this long is given up (Linux)."""
    redis_connect_time: float = 5.0
    """A connection must be made, greeted and subscribed this long after it was begun."""
    redis_retry_time: float = 0.5
    """The longest pause between two attempts to connect."""
    redis_queue: int = 10_000
    """Most commands that wait for a connection to Redis."""
    redis_queue_bytes: int = 16_000_000
    """The same in bytes."""

    cluster_nodes: int = 10_000
    """Most servers of a cluster that are known by name."""
    cluster_silent_time: float = 0.2
    """How long a request waits for servers that did not answer the last one, after all others."""

    # Workers: several processes that serve one address
    worker_look_time: float = 1.0
    """How long the parent waits for the first bytes of a connection; then a worker goes on."""
    worker_looks: int = 1000
    """For how many it waits; and how many connections may wait for a worker that takes none."""
    worker_message: int = 64_000_000
    """Longest message from one worker to another."""
    worker_queue: int = 64_000_000
    """Unsent bytes for another worker above which it misses messages."""
    worker_end_time: float = 1.0
    """When the server ends: how long polls may take what is left for them."""
    worker_retire_time: float = 5.0
    """The same for a worker that another one replaces."""
    worker_stop_time: float = 10.0
    """A worker that has not ended this long after it had to is killed."""

    # TLS
    tls_time: float = 10.0
    """A handshake must be done this long after its connection was made."""

    # The whole server
    memory: int = 512_000_000
    """Bytes that all clients together may have it hold: unsent, not yet polled, not yet whole,
    heads, CONNECT data, events that wait, recovery.  Above, whoever holds the most is closed
    (:mod:`rawsio.server.budget`).  As much as 32 clients hold that stopped at ``queue``, or 8 KB
    for each of ``sessions``."""

    # The share of a turn: what one connection may take before the others have theirs
    turn_frames: int = 256
    """Most WebSocket frames, or packets of a polling payload, that are worked off at a time."""
    turn_bytes: int = 65536
    """Bytes of data, after inflation, with which a share ends; one message may go beyond."""
    turn_time: float = 0.004
    """Seconds of work after which the loop looks for connections that have done without."""
    read_ahead: int = 1 << 20
    """Most bytes that are held because they came before their turn: behind a request in work, or
    behind a share.  Reading pauses long before; at least four times ``receive_size``."""

    # Sockets and the loop
    connections: int = 65536
    """Most TCP connections at a time; more are accepted and closed at once."""
    receive_size: int = 65536
    """Bytes asked of the kernel at a time."""
    high_water: int = 4_000_000
    """Unsent bytes at which a connection's back-pressure policy takes hold."""
    low_water: int = 1_000_000
    """Unsent bytes at which it is lifted, and ``drain`` is raised; volatile packets are dropped
    above it."""
    discard: int = 1 << 20
    """Bytes still read and dropped after a fatal error, so that the peer can see our answer."""
    discard_time: float = 2.0
    """How long that may take."""
    queue: int = 16_000_000
    """Unsent bytes of one client with which it is cut off, whatever the policy: see
    :mod:`rawsio.server.session_port`.  One packet may go beyond it, of any size."""
    write_time: float = 30.0
    """A peer that takes nothing for this long while bytes are unsent is cut off."""
    write_rate: float = 500
    """And so is one that takes less than this many bytes a second meanwhile."""

    def __new__(cls, *unnamed: Any, **named: Any) -> Limits:
        """Refuse a bound that there is not, and what is no number."""
        if unnamed:
            raise TypeError(
                f"a limit is given by its name, as in Limits(message=100_000), not {unnamed[0]!r}"
            )
        for name, value in named.items():
            if name not in cls.__match_args__:
                raise TypeError(f"Limits() has no {name!r}{meant(name, cls.__match_args__)}")
            check_number(name, value, whole=cls.__annotations__[name] == "int")
            if not value and name in _SHARES:
                raise ValueError(f"{name}: a number above zero is expected: with 0 nothing goes on")
        return object.__new__(cls)

    def but(self, **changes: Any) -> Limits:
        """Return a copy with these fields changed; ``TypeError`` for a name that is none."""
        kept: dict[str, Any] = {name: getattr(self, name) for name in self.__match_args__}
        return Limits(**{**kept, **changes})


DEFAULT = Limits()
"""The defaults, shared: treat it as read-only."""
