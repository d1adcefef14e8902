"""Random conversations through the proxy: ``python -m tests.soak.proxy [--conversations N]``.

Both ends say random bytes in random pieces and end in a random order, on a good network and on bad
ones; what each end hears must be what the other said, and every connection of the proxy must end.
"""

from __future__ import annotations

import argparse
import sys
from random import Random

from tests.tracing.test_proxy import BAD, converse
from tests.tracing.wires import world

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run; 0 if every byte passed (an ``AssertionError`` ends it otherwise)."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.proxy")
    parser.add_argument("--conversations", type=int, default=10_000)
    count = parser.parse_args(arguments).conversations
    for badness in BAD:
        with world(badness) as made:
            for number in range(count // len(BAD)):
                converse(made, Random(number))
                del made.items[:], made.servers[:], made.clients[:]
            print(f"{count // len(BAD)} conversations passed: {badness}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
