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

Sessions stand above it: :mod:`rawsio.engineio.server` and :mod:`rawsio.engineio.client`.

Importing this package imports none of its modules; the names below, those of the layer, are loaded
on first use.
"""

from __future__ import annotations

from rawsio.lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.layer import Closed, Closing, Failed, Role

    from .connection import EngineIOConnection
    from .packets import Message, Opened, Probed, Upgraded
    from .probe import Probe

__all__ = [
    "EngineIOConnection",
    "Probe",
    "Opened",
    "Message",
    "Probed",
    "Upgraded",
    "Closed",
    "Failed",
    "Closing",
    "Role",
]

_HOMES = {
    "EngineIOConnection": "rawsio.engineio.connection",
    "Probe": "rawsio.engineio.probe",
    "Opened": "rawsio.engineio.packets",
    "Message": "rawsio.engineio.packets",
    "Probed": "rawsio.engineio.packets",
    "Upgraded": "rawsio.engineio.packets",
    "Closed": "rawsio.layer",
    "Failed": "rawsio.layer",
    "Closing": "rawsio.layer",
    "Role": "rawsio.layer",
}

if not TYPE_CHECKING:  # so that a checker knows which names there are
    __getattr__, __dir__ = lazily(globals(), _HOMES)
