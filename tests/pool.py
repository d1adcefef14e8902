"""An executor whose jobs a test runs, one by one."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

__all__ = ["Pool"]


class Pool:
    """Keeps what is submitted until :meth:`run_one`."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Future[Any], Any]] = []

    def submit(self, fn: Any, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.jobs.append((future, lambda: fn(*args)))
        return future

    def run_one(self) -> None:
        """Run the oldest."""
        future, job = self.jobs.pop(0)
        future.set_result(job())
