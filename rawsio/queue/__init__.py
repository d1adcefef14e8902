"""The durable queue: messages are stored until one consumer has processed them.

::

    from rawsio import Server
    from rawsio.queue import Message

    io = Server()
    jobs = io.queue("jobs", path="app.db")

    @jobs.handler
    def resize(message: Message) -> None:
        print(message.body["picture"])

    jobs.publish({"picture": 7})
    io.run(port=3000)

A publish is acknowledged after its commit.  A message is *leased* to one consumer at a time and
deleted when that acknowledges it; if the consumer fails, hangs or dies, another one gets it.  So
each message is delivered **at least once**; ``jobs.transaction(message)`` makes its effect happen
once.  ``rfc_notes/queue.md`` lists what is promised and what is not.

==============  ===========================================================================
module          what it holds
==============  ===========================================================================
``messages``    what a queue tells and is told: options, deliveries, events, errors
``bodies``      bodies as bytes, and as the JSON that travels
``operations``  what a queue asks of its store, and the contract of a store
``queue``       :class:`~rawsio.queue.queue.Queue`: the rules, without clock and file; ``intake``
                and ``consumers`` are its two sides, ``shares`` what concerns many messages
``memory``      a store in memory; ``sqlite`` one in a file; ``far`` one in Redis
``keeper``      turns: one transaction for all that one turn of the loop collected
``jobs``        ``io.queue(...)``: publishers, handlers, transactions
``wire``        a queue in a Socket.IO namespace, for clients in any language
==============  ===========================================================================

No module of a server imports this package unless a queue is made.
"""

from __future__ import annotations

from rawsio.lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .handling import Message
    from .memory import MemoryStore
    from .messages import Dead, Published, QueueError, QueueOptions
    from .operations import StoreError
    from .queue import Queue
    from .sqlite import SQLiteStore

__all__ = [
    "Queue",
    "QueueOptions",
    "Message",
    "Published",
    "QueueError",
    "Dead",
    "StoreError",
    "MemoryStore",
    "SQLiteStore",
]

_HOMES = {
    "Queue": "rawsio.queue.queue",
    "QueueOptions": "rawsio.queue.messages",
    "Message": "rawsio.queue.handling",
    "Published": "rawsio.queue.messages",
    "QueueError": "rawsio.queue.messages",
    "Dead": "rawsio.queue.messages",
    "StoreError": "rawsio.queue.operations",
    "MemoryStore": "rawsio.queue.memory",
    "SQLiteStore": "rawsio.queue.sqlite",
}

if not TYPE_CHECKING:  # so that a checker knows which names there are
    __getattr__, __dir__ = lazily(globals(), _HOMES)
