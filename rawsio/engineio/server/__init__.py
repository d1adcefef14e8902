"""The server's half of Engine.IO: sessions, and the requests and packets that belong to them."""

from __future__ import annotations

__all__: list[str] = []
