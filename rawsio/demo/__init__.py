"""The demo: a chat, and beside it the layers of every message that its page sends and receives.

=========  ==========================================================================
module     what it holds
=========  ==========================================================================
``chat``   the chat itself, an example of the public interface
``board``  a queue, and what its page (``/queue``) shows of it
``hub``    the live view of the layers: what passes, for the session that it is of
=========  ==========================================================================

``rawsio serve`` runs it.
"""

from __future__ import annotations

from rawsio.lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.demo.chat import install, make_server

__all__ = ["install", "make_server"]

_HOMES = {"install": "rawsio.demo.chat", "make_server": "rawsio.demo.chat"}

__getattr__, __dir__ = lazily(globals(), _HOMES)
