"""``rawsio rules ID``: what a rule says, where it comes from, which code keeps it, what shows it.

Without an id it lists the documents; the beginning of an id lists the rules that begin so.
"""

from __future__ import annotations

from rawsio.rules import Rule, all_rules, documents, told

from . import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the ids, and the form of the answer."""
    parser.add_argument("ids", nargs="*", metavar="ID", help="an id, or the beginning of some")
    parser.add_argument("--json", action="store_true", help="print JSON, a line for each rule")


def run(options: argparse.Namespace) -> int:
    """Print rules."""
    known = all_rules()
    if not options.ids:
        for key, name in documents().items():
            count = sum(id_.startswith(key + "-") for id_ in known)
            print(f"{key:12} {count:4} rules  {name}")
        return 0
    for given in options.ids:
        exact = known.get(given)
        found = [exact] if exact else [r for id_, r in known.items() if id_.startswith(given)]
        if not found:
            raise Stop(f"no rule is called {given!r}; the beginning of an id lists those that are")
        _print(found, detailed=exact is not None or len(found) == 1, as_json=options.json)
    return 0


def _print(found: list[Rule], *, detailed: bool, as_json: bool) -> None:
    import json

    for rule in found:
        if as_json:
            print(json.dumps({name: getattr(rule, name) for name in rule.__match_args__}))
        elif detailed:
            print(told(rule))
        else:
            print(f"{rule.id:36} {rule.level:10} {rule.text}")
