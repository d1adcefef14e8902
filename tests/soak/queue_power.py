"""Cut the power while a queue is used: what was acknowledged survives, by the level of safety.

``python -m tests.soak.queue_power [--rounds N]`` builds a library (``unsynced.c``, by ``cc``) that
keeps what was written to the database and not synced out of it, as a page cache that loses power.
A child publishes, and prints each id when it was acknowledged; after a random time it is killed.
Then the file holds what a disk would hold.

``FULL`` has to lose nothing that was acknowledged.  What ``NORMAL`` loses is printed: it may lose
the last commits, but the file is sound.  A third run is with a disk that only says that it has
synced, to show that this test can see a loss.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rawsio.queue import SQLiteStore
from rawsio.queue.operations import Bodies, Claim, Delete, Insert

from .recovery import unsynced

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def publish(path: str, synchronous: str) -> None:
    """Publish in batches of different sizes, and process some: until the end of the process."""
    store = SQLiteStore(path, synchronous=synchronous)
    store.open("jobs", 1_000_000, 0)
    lease = 1 << 40
    for turn in range(10**9):
        if turn % 2:
            (ids,) = store.apply([Bodies("jobs", turn, [bytes(200)] * (1 + turn % 7))])
        else:
            inserts = [Insert("jobs", bytes(200), turn) for _ in range(1 + turn % 7)]
            ids = [number for number, _ in store.apply(inserts)]
        print("+", *ids, flush=True)
        if turn % 5 == 4:
            lease += 1
            (rows,) = store.apply([Claim("jobs", 3, lease)])
            # Said before: whether it was committed is not known when the power fails now.
            print("-", *[row.id for row in rows], flush=True)
            store.apply([Delete("jobs", row.id, lease, row.size) for row in rows])


def cut(library: str, synchronous: str, *, lies: bool, seconds: float) -> tuple[int, int, str]:
    """Use a queue until the power fails; return what was acknowledged, lost, and the verdict."""
    with tempfile.TemporaryDirectory(prefix="rawsio-power-") as folder:
        path = f"{os.path.realpath(folder)}/app.db"
        # The tables are there, and on the disk, before anything is cut.
        SQLiteStore(path).close()
        env = {**os.environ, "LD_PRELOAD": library, "UNSYNCED": path}
        if lies:
            env["UNSYNCED_LIES"] = "1"
        command = [sys.executable, "-m", "tests.soak.queue_power", "--publish", path, synchronous]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT)
        assert child.stdout is not None
        first = child.stdout.readline()  # however long it takes to begin
        time.sleep(seconds)
        child.kill()
        output = first + child.communicate()[0]
        acknowledged: set[int] = set()
        for line in output.splitlines(keepends=True):
            if not line.endswith("\n"):
                continue  # cut in the middle
            sign, *ids = line.split()
            numbers = set(map(int, ids))
            acknowledged = acknowledged | numbers if sign == "+" else acknowledged - numbers
        try:
            store = SQLiteStore(path)
            found = store.connection.execute("SELECT id FROM rawsio_message").fetchall()
            verdict = store.connection.execute("PRAGMA integrity_check").fetchone()[0]
            store.close()
        except Exception as error:  # noqa: BLE001 - it is the verdict
            return len(acknowledged), len(acknowledged), str(error)
    lost = acknowledged - {number for (number,) in found}
    return len(acknowledged), len(lost), str(verdict)


def main(arguments: list[str]) -> int:
    """Cut the power; return 1 if FULL lost anything, or any file was damaged."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.queue_power")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--publish", nargs=2, metavar=("DB", "LEVEL"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.publish:
        publish(*given.publish)
        return 0
    rng, wrong = random.Random(0), []
    with tempfile.TemporaryDirectory(prefix="rawsio-power-") as folder:
        library = unsynced(folder)
        for level, lies in (("FULL", False), ("NORMAL", False), ("FULL", True)):
            total = lost = 0
            verdicts = set()
            for _ in range(given.rounds):
                seconds = rng.uniform(0.3, 0.9)
                acknowledged, gone, verdict = cut(library, level, lies=lies, seconds=seconds)
                total, lost = total + acknowledged, lost + gone
                verdicts.add(verdict)
            disk = ", on a disk that lies" if lies else ""
            print(f"{level}{disk}: {total} acknowledged, {lost} lost, file {', '.join(verdicts)}")
            if not lies and verdicts != {"ok"}:
                wrong.append(f"{level}: a file was damaged")
            if level == "FULL" and not lies and lost:
                wrong.append("FULL lost what it had acknowledged")
            if lies and not lost:
                wrong.append("the library loses nothing: this test shows nothing")
            if not total:
                wrong.append(f"{level}: nothing was published")
    print("\n".join(wrong) or "FULL lost nothing")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
