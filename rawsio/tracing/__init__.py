"""Recording what passes between a client and a server, and passing it on over bad networks.

=============  ======================================================================
module         what it holds
=============  ======================================================================
``recorder``   :class:`Recorder`: takes the bytes of connections, gives their messages to sinks
``pcapng``     the sink for Wireshark: packets made up around the bytes
``har``        the sink for browsers' tools: HTTP exchanges and WebSocket messages
``jsonl``      the sink for scripts: a JSON object a message
``secrets``    what is replaced in a recording
``cleaning``   messages with their secrets replaced, explained anew: what functions and pages get
``badness``    a bad network: delay, rate, small pieces, cuts, resets, stalls
``page``       the page that shows it all, live
``proxy``      :class:`Proxy`: passes bytes on exactly, and records a copy
=============  ======================================================================

No server imports this package, unless it is given a recorder.
"""

from __future__ import annotations

from rawsio.lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.tracing.badness import Badness
    from rawsio.tracing.proxy import Proxy
    from rawsio.tracing.recorder import Recorder

__all__ = ["Badness", "Proxy", "Recorder"]

_HOMES = {
    "Badness": "rawsio.tracing.badness",
    "Proxy": "rawsio.tracing.proxy",
    "Recorder": "rawsio.tracing.recorder",
}

if not TYPE_CHECKING:  # so that a checker knows which names there are
    __getattr__, __dir__ = lazily(globals(), _HOMES)
