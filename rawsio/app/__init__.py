"""The application model of a server: namespaces, sockets, rooms, and the handlers of users.

=====================  ====================================================================
module                 what it holds
=====================  ====================================================================
``namespaces``         all namespaces of a server; ``namespace`` is one of them
``multiplexer``        one session: its protocol state and its sockets
``socket``             one client in one namespace; ``member`` is the part on the loop
``adapter``            who is in which room; ``recovery`` keeps what a lost client missed
``broadcast``          whom an emit goes to; ``reply`` what it waits for
``handlers``           what users register; ``lifecycle_events`` what the library raises
``dispatch``           how an event becomes an acknowledgement
``handler_queue``      one handler after another
``handshake``          how a client introduced itself
``schedule``           ``io.call_later`` and ``io.every``
``interfaces``         what all this needs of the world around it, as types
=====================  ====================================================================

The protocol below is :mod:`rawsio.socketio`; a :class:`rawsio.runtime.Runtime` runs the model.
Importing this package imports none of its modules.
"""

from __future__ import annotations

__all__: list[str] = []
