"""Fill the disk, take away the right to write, and let a queue live with it.

``python -m tests.soak.queue_full`` mounts a small tmpfs (which needs root; elsewhere give
``--folder`` on a small file system of your own) and shows that

- a publish that finds no room is refused with ``full``, and the log says so once;
- acknowledgements and claims go on: everything that was stored is processed and deleted;
- publishes are accepted again once there is room;
- a folder that cannot be written is named when the queue is made.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rawsio import Server
from rawsio.queue import QueueError, StoreError

__all__ = ["main"]


@contextlib.contextmanager
def small_disk(size: str = "12m") -> Iterator[str]:
    """Mount a tmpfs of this size."""
    with tempfile.TemporaryDirectory(prefix="rawsio-full-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: str) -> list[str]:
    """Fill the disk with messages, then process them; return what was wrong."""
    io = Server()
    jobs = io.queue("jobs", path=f"{folder}/app.db")
    runner = threading.Thread(target=io.run, kwargs={"port": 0}, daemon=True)
    started = threading.Event()
    io.host.call_later(0.0, started.set)
    runner.start()
    started.wait()
    stored: list[int] = []
    code = ""
    wrong = []
    for _ in range(10_000):
        try:
            stored.append(jobs.publish("x" * 4000).result(30).id)
        except QueueError as error:
            code = error.code
            print(f"after {len(stored)} messages: {error}")
            break
    # The last room is taken by something else.
    with contextlib.suppress(OSError), Path(f"{folder}/other").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    if code != "full":
        wrong.append(f"the publish that found no room ended with {code!r}")
    done: list[int] = []
    emptied = threading.Event()

    def work(message: Any) -> None:
        done.append(message.id)
        if len(done) == len(stored):
            emptied.set()

    io.host.call(lambda: jobs.handler(work, prefetch=20))
    if not emptied.wait(20):
        wrong.append(f"{len(done)} of {len(stored)} were processed on the full disk")
    jobs.peek().result(30)
    stats = jobs.stats()
    left = stats["leased"] + stats["ready"]
    print(f"processed {len(set(done))} of {len(stored)} on the full disk, {left:.0f} left")
    if set(done) != set(stored) or len(done) != len(stored) or left:
        wrong.append("messages were lost, delivered twice, or are left")
    os.unlink(f"{folder}/other")
    try:
        print(f"with room again: {jobs.publish('y').result(30)}")
    except QueueError as error:
        wrong.append(f"with room again a publish is refused: {error}")
    io.close()
    runner.join(30)
    return wrong


def read_only(folder: str) -> list[str]:
    """Make queues where nothing can be written; return what was wrong."""
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    wrong = []
    for path in (f"{folder}/app.db", f"{folder}/new.db"):
        io = Server()
        try:
            io.queue("jobs", path=path)
            wrong.append(f"{path} could be written")
        except StoreError as error:
            print(f"read-only: {error}")
        io.close()
        io.step(0)
    return wrong


def main(arguments: list[str]) -> int:
    """Return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.queue_full")
    parser.add_argument("--folder", help="a folder on a small file system, instead of a tmpfs")
    given = parser.parse_args(arguments)
    if given.folder:
        wrong = fill(given.folder)
    else:
        with small_disk() as folder:
            wrong = fill(folder) + read_only(folder)
    print("\n".join(wrong) or "nothing was lost, and everything that frees room went on")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
