"""The server: :class:`Server`, and the parts that it is made of.

In the order of the imports, from below:

- ``http_apps`` answers requests that are not Socket.IO's, by files or a function, as ``static``
  does for a folder and ``mounts`` for several; ``wsgi`` asks a WSGI application; ``app_kinds``
  tells which of them the user gave;
- ``streaming`` is content that is made piece by piece, ``answering`` an answer on its way;
- ``router`` carries what TCP connections say to sessions, and back, without sockets;
- ``session_port`` is a session as the application sees it, ``session_events`` what it hears there;
- ``budget`` bounds what all clients together make the server hold;
- ``server_sockets`` has the sockets: accepting, the loop, the end;
- ``config`` makes all of them from the options;
- ``server`` is the public interface.

:mod:`rawsio.stack` puts the layers together, :mod:`rawsio.runtime` says where handlers run.
"""

from __future__ import annotations

from .server import Server

__all__ = ["Server"]
