"""The client's half of Engine.IO: ``session`` says which requests to make."""

from __future__ import annotations

__all__: list[str] = []
