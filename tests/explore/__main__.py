"""``python3 -m tests.explore``: explore, or replay a trace; exit code 1 if something is wrong."""

from __future__ import annotations

import argparse
import sys

from .scenarios import SCENARIOS
from .search import explain, explore, replay


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.explore")
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), metavar="SCENARIO")
    parser.add_argument("--depth", type=int, help="the most steps of a trace")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each scenario")
    parser.add_argument("--replay", metavar="STEPS", help="one trace of --only, with commas")
    parser.add_argument("--list", action="store_true", help="say what the scenarios are")
    given = parser.parse_args(arguments)
    names = given.only or list(SCENARIOS)
    if given.list:
        for name in names:
            print(f"{name:<24} {SCENARIOS[name].make.__doc__}")
        return 0
    if given.replay is not None:
        if len(names) != 1:
            parser.error("--replay needs --only SCENARIO")
        return _replay(names[0], given.replay)
    return max([_explore(name, given.depth, given.seconds) for name in names])


def _replay(name: str, steps: str) -> int:
    trace = tuple(step.strip() for step in steps.split(",") if step.strip())
    try:
        replay(SCENARIOS[name].make, trace, print)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was searched for
        print(f"wrong: {explain(error)}")
        return 1
    print("nothing is wrong")
    return 0


def _explore(name: str, depth: int | None, seconds: float) -> int:
    found = explore(SCENARIOS[name].make, depth or SCENARIOS[name].deep, seconds)
    verdict = "FAILED" if found.trace is not None else "ok"
    print(
        f"{verdict:<6} {name:<24} {found.states:7} states, depth {found.depth:2},"
        f" {found.seconds:7.1f} s",
        flush=True,
    )
    if found.trace is None:
        return 0
    print(f"    {found.why.strip()}".replace("\n", "\n    "))
    steps = ", ".join(found.trace)
    print(f'    python3 -m tests.explore --only {name} --replay "{steps}"', flush=True)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
