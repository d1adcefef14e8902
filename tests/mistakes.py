"""Mistakes that were put into the short ways by hand: ``python -m tests.mistakes [NUMBER ...]``.

A short way does what the layers do, so it is held to them by property tests, which feed both the
same and compare everything.  This shows that those tests see what is wrong: one after the other
each of :data:`MISTAKES` is made in a copy of the checkout, and the property tests of its short way
run there, and no others.  Printed is which test noticed; the command ends with 1 if none did.

``tests/mutation.py`` makes small mistakes of every kind everywhere; these are those that somebody
who makes something faster is likely to make.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.caches import UNCACHED
from tests.mutation import Bench

__all__ = ["MISTAKES", "PROPERTIES", "Mistake", "noticed"]

PROPERTIES = {
    "events": (
        "tests/test_express.py::test_what_it_reads_the_layers_read_as_well",
        "tests/test_express.py::test_nobody_can_tell_whether_the_layers_were_there",
        "tests/test_routes.py::test_the_direct_route_and_the_layered_one_are_the_same",
    ),
    "connect": (
        "tests/test_express.py::test_what_a_client_says_first_is_taken_as_the_layers_take_it",
    ),
    "broadcasts": ("tests/test_express.py::test_nobody_can_tell_how_a_broadcast_came",),
    "prepared": (
        "tests/stack/test_laws.py"
        "::test_the_frames_of_a_prepared_packet_are_its_packets_and_can_be_read_again",
    ),
    "heads": (
        "tests/http/test_repeated.py::test_both_ways_give_the_same_events_bytes_and_states",
        "tests/server/test_repeats.py::test_both_ways_give_the_same_answers_calls_and_states",
    ),
    "polls": ("tests/server/test_repeats.py::test_polls_and_posts_are_the_same_both_ways",),
    "handshakes": (
        "tests/server/test_handshakes.py::test_heads_that_hardly_differ_are_the_same_both_ways",
    ),
    "masking": (
        "tests/websocket/test_masking.py::test_masking_is_the_loop_of_the_rfc",
        "tests/websocket/test_masking.py::test_a_short_payload_is_unmasked_with_the_key_before_it",
        "tests/websocket/test_masking.py"
        "::test_a_payload_in_two_pieces_is_unmasked_with_the_rotated_key",
    ),
}
"""Short way -> the tests that hold it to the layers."""


@dataclass(frozen=True)
class Mistake:
    """``stands``, which is once in the file, becomes ``wrong``; ``what`` says what that means."""

    way: str
    path: str
    stands: str
    wrong: str
    what: str


_EXPRESS, _READING = "rawsio/express.py", "rawsio/reading.py"
_TCP, _DRIVER = "rawsio/net/tcp.py", "rawsio/net/driver.py"
_REPEATED, _REPEATS = "rawsio/http/repeated.py", "rawsio/server/repeats.py"
_HANDSHAKES, _PREPARED = "rawsio/server/handshakes.py", "rawsio/prepared.py"
_MASKING = "rawsio/websocket/masking.py"

MISTAKES = (
    Mistake(
        "events",
        _READING,
        '(digits < b"1" or not digits.isdigit())):\n                break',
        "not digits.isdigit()):\n                break",
        "an id may begin with a zero",
    ),
    Mistake(
        "events",
        _READING,
        'return text.count("[") + text.count("{") > depth',
        'return text.count("[") > depth',
        "objects are nested deeper than the limit",
    ),
    Mistake(
        "events",
        _READING,
        "if stop != len(text) or args[0].__class__ is not str:\n                break",
        "if args[0].__class__ is not str:\n                break",
        "something stands behind the list",
    ),
    Mistake(
        "events",
        _READING,
        "if first != _WHOLE_BINARY or size > longest or body + size > len(data):",
        "if first != _WHOLE_BINARY or size > longest:",
        "an attachment is taken before all of it has come",
    ),
    Mistake(
        "events",
        _EXPRESS,
        "            engine.heard()\n",
        "            pass\n",
        "a client that only sends events counts as silent",
    ),
    Mistake(
        "events",
        _EXPRESS,
        "if now < end and self._socket is socket and multiplexer._jobs is None:\n"
        "                brief",
        "if now < end:\n                brief",
        "an event is answered by a socket that has left, and the next is taken",
    ),
    Mistake(
        "events",
        _EXPRESS,
        "if size >= self._reading.deep and self._too_deep(text):",
        "if size < 0:",
        "an answer is nested deeper than the limit",
    ),
    Mistake(
        "connect",
        _EXPRESS,
        "if not 0 < size <= SHORT or data[0] != _WHOLE_TEXT or data[1] != 0x80 | size:",
        "if not 0 < size <= SHORT or data[1] != 0x80 | size:",
        "a ping, or a binary message, is a CONNECT",
    ),
    Mistake(
        "broadcasts",
        "rawsio/lanes.py",
        "        driver.told += size\n",
        "",
        "what waits in the lanes of a turn has no bound",
    ),
    Mistake(
        "broadcasts",
        "rawsio/app/adapter.py",
        "            if lane is None:\n                socket._deliver(prepared)\n",
        "            if lane is None:\n",
        "who has no lane is told nothing",
    ),
    Mistake(
        "broadcasts",
        _DRIVER,
        "self.dirty = {**dict.fromkeys(targets, False), **self.dirty}",
        "self.dirty = dict.fromkeys(targets, False)",
        "a broadcast forgets who was to be flushed before",
    ),
    Mistake(
        "broadcasts",
        _TCP,
        "if outbox != joined[0]:",
        "if len(outbox) != len(joined[0]):",
        "a receiver is sent what was joined for another",
    ),
    Mistake(
        "prepared",
        _PREPARED,
        "encode_frame(BINARY, p)\n",
        "encode_frame(TEXT, p)\n",
        "an attachment leaves as a text",
    ),
    Mistake(
        "heads",
        _REPEATED,
        "if known.size == size and data.startswith(known.head):",
        "if known.size <= size and data.startswith(known.head):",
        "the next request, pipelined, is part of the body",
    ),
    Mistake(
        "heads",
        _REPEATED,
        '    if asked.method == "HEAD":\n        body = b""\n    elif kept[2]',
        "    if kept[2]",
        "the answer to HEAD has a body",
    ),
    Mistake(
        "heads",
        _REPEATED,
        "        or not asked.plain\n",
        "",
        "a connection that is to end goes on",
    ),
    Mistake(
        "polls",
        _REPEATS,
        "if transport is None or transport.ready:",
        "if transport is None:",
        "two polls at once are no mistake",
    ),
    Mistake(
        "polls",
        _REPEATS,
        "if transport is None or transport.posting:",
        "if transport is None:",
        "two posts at once are no mistake",
    ),
    Mistake(
        "handshakes",
        _HANDSHAKES,
        "if known is None or _KEY.fullmatch(key) is None:",
        "if known is None:",
        "anything is a key",
    ),
    Mistake(
        "handshakes",
        _HANDSHAKES,
        "self._known.get((secure, data[:at] + data[at + _SIZE :]))",
        "next(iter(self._known.values()), None)",
        "all heads are the one that was known first",
    ),
    Mistake(
        "masking",
        _MASKING,
        "pad = (key * (size // 4 + 1))[:size]",
        "pad = (key * (size // 4 or 1))[:size]",
        "the last bytes stay masked",
    ),
    Mistake(
        "masking",
        _MASKING,
        "turn = count & 3",
        "turn = 0",
        "the second piece of a payload begins with the first byte of the key",
    ),
)
"""The mistakes, in the order of the numbers."""


def noticed(bench: Bench, mistake: Mistake, profile: str) -> str:
    """Make a mistake in a copy of the checkout; return the test that fails, or nothing."""
    file = bench.folder / mistake.path
    before = file.read_text("utf-8")
    file.write_text(before.replace(mistake.stands, mistake.wrong), "utf-8")
    flags = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--hypothesis-profile={profile}",
        "--tb=no",
        "-rfE",
    ]
    command = [sys.executable, "-B", "-m", "pytest", *flags, *PROPERTIES[mistake.way]]
    env = {**os.environ, "PYTHONPATH": str(bench.folder), "PYTHONDONTWRITEBYTECODE": "1"}
    env[UNCACHED] = "1"
    try:
        done = subprocess.run(
            command,
            cwd=bench.folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "one that hangs"
    finally:
        file.write_text(before, "utf-8")
    failed = re.search(r"^FAILED (\S+)", done.stdout, re.MULTILINE)
    if done.returncode and not failed:
        raise SystemExit(f"{mistake.what}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return failed[1] if failed else ""


def main(arguments: list[str]) -> int:
    """Make all of them, or those with these numbers, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.mistakes")
    parser.add_argument("numbers", nargs="*", type=int)
    parser.add_argument("--profile", default="ci", help="of hypothesis: dev draws less")
    options = parser.parse_args(arguments)
    numbers = options.numbers or range(1, len(MISTAKES) + 1)
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder, "checkout"))
        for number in numbers:
            mistake = MISTAKES[number - 1]
            test = noticed(bench, mistake, options.profile)
            missed += not test
            print(f"{number:2} {mistake.path}: {mistake.what}", flush=True)
            print(f"   {test or 'NOT NOTICED'}", flush=True)
    print(f"{len(numbers) - missed} of {len(numbers)} mistakes were noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
