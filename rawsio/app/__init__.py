"""The application model of a server: namespaces, sockets, rooms, and the handlers of users."""

from __future__ import annotations

__all__: list[str] = []
