"""Engine.IO (protocol 4, and 3 for old clients): sessions over polling and WebSocket.

===================  ====================================================================
module               what it holds
===================  ====================================================================
``packets``          the events; packets and polling payloads as bytes and back
``payloads_v3``      the payloads of protocol 3
``states``           who may say what, and when
``connection``       :class:`~rawsio.engineio.connection.EngineIOConnection`, the layer
``probe``            :class:`~rawsio.engineio.probe.Probe`, the layer on a candidate WebSocket
===================  ====================================================================

Above the layer, where one session meets several TCP connections:

===================  ====================================================================
``links``            what a TCP connection is to us
``options``          the options of a server
``polling``          requests and answers as values
``checks``           which requests are refused; ``origins`` which pages may ask
``replies``          what goes with every answer, and refusals
``session``          one client; ``transports`` what carries it
``server``           the registry of all sessions
``client``           the client's half
===================  ====================================================================

Nothing is imported here, so that asking for one module loads that module only.
"""

from __future__ import annotations

__all__: list[str] = []
