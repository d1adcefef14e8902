"""``python -m tests.simulation``: run many seeds, or one and show its steps.

The order of sets depends on ``PYTHONHASHSEED``, so that is always 0 here: a seed that fails fails
again, step by step.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time

from .run import Run, Violation


def main(arguments: list[str]) -> int:
    """Run; the exit code is 1 if a seed fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--step", type=int, default=1, help="from one to the next")
    parser.add_argument("--seed", type=int, help="run this one, and show every step")
    given = parser.parse_args(arguments)
    logging.disable()
    if given.seed is not None:
        Run(given.seed, print).execute()
        return 0
    began, failed, deliveries = time.monotonic(), 0, 0
    for seed in range(given.first, given.first + given.seeds * given.step, given.step):
        run = Run(seed)
        try:
            run.execute()
        except Violation as violation:
            failed += 1
            print(f"seed {seed} ({run.kind}): {violation}")
        deliveries += run.network.deliveries
    seconds = time.monotonic() - began
    print(f"{given.seeds} seeds, {failed} failed, {deliveries} deliveries, {seconds:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        command = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": "0"})
    sys.exit(main(sys.argv[1:]))
