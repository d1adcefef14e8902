"""The client's half of Engine.IO."""

from __future__ import annotations

__all__: list[str] = []
