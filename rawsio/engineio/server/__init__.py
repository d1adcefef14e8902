"""The server's half of Engine.IO, where one session meets several TCP connections.

=====================  ====================================================================
module                 what it holds
=====================  ====================================================================
``links``              what a TCP connection is to a session
``options``            the options of a server
``polling``            requests and answers as values
``checks``             which requests are refused; ``origins`` which pages may ask
``admission``          which sessions find room
``response_headers``   what goes with every answer, and refusals
``session``            one client; ``transports`` what carries it
``registry``           all sessions
=====================  ====================================================================

Importing this package imports none of its modules.
"""

from __future__ import annotations

__all__: list[str] = []
