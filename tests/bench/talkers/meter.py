"""What each client in Python counts: ``FORM PORT MODE DEPTH WARM SECONDS`` is its command line.

``MODE`` is ``echo`` (an event with acknowledgement, ``DEPTH`` of them in flight) or ``stream`` (a
broadcast that comes; the client asks for a hundred at a time, with two such in work).
"""

from __future__ import annotations

import json
import sys
import time

__all__ = ["AHEAD", "EACH", "TEXT", "Meter"]

TEXT = "abcdefghijklmnopqrstuvwxyzabcdef"
EACH, AHEAD = 100, 2
"""Broadcasts that are asked for at a time, and how often in advance."""


class Meter:
    """Counts answers, and notes where the measured window begins."""

    def __init__(self) -> None:
        self.form, port, self.mode, depth, warm, seconds = sys.argv[1:]
        self.url = f"http://127.0.0.1:{port}"
        self.depth = int(depth)
        self.warm, self.seconds = float(warm), float(seconds)
        self.count = self.errors = 0
        self._from = (0, 0.0, 0.0)

    def took(self, value: object) -> bool:
        """Count a value that came; return whether the next hundred is to be asked for."""
        if value != TEXT:
            self.errors += 1
        self.count += 1
        return self.count % EACH == 0

    def begin(self) -> None:
        """Begin the window."""
        self._from = (self.count, time.process_time(), time.perf_counter())

    def report(self) -> None:
        """End the window and print what was found."""
        count, cpu, began = self._from
        found = {
            "count": self.count - count,
            "cpu": time.process_time() - cpu,
            "seconds": time.perf_counter() - began,
            "errors": self.errors,
        }
        print(json.dumps(found), flush=True)
