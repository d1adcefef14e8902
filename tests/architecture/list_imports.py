"""Write ``imported_modules.txt`` anew, from every Python that ``.ci/run`` would use.

``python -m tests.architecture.list_imports``
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.ci import VERSIONS, other_pythons

from .test_imported_modules import imported_by

__all__ = ["rows"]

LIST = Path(__file__).parent / "imported_modules.txt"


def rows(found: dict[str, set[str]]) -> list[str]:
    """Return a row for each module, with the versions that import it unless all do.

    >>> rows({"3.10": {"a", "b"}, "3.11": {"a", "c"}})
    ['a', 'b | 3.10-', 'c | 3.11+']
    """
    versions = [version for version in VERSIONS if version in found]
    made = []
    for module in sorted(set().union(*found.values())):
        have = [version for version in versions if module in found[version]]
        if have == versions:
            made.append(module)
        elif have == versions[-len(have) :]:
            made.append(f"{module} | {have[0]}+")
        elif have == versions[: len(have)]:
            made.append(f"{module} | {have[-1]}-")
        else:
            made += [f"{module} | {version}" for version in have]
    return made


def main() -> None:
    """Ask each Python, and write the list under the comment that it opens with."""
    pythons = {"{}.{}".format(*sys.version_info): sys.executable, **other_pythons()}
    found = {v: imported_by("from rawsio import Server", p) for v, p in pythons.items()}
    comment = LIST.read_text("utf-8").partition("\n")[0]
    LIST.write_text("\n".join([comment, *rows(found), ""]), "utf-8")
    print(f"{LIST.name}: {len(rows(found))} rows, of Python {', '.join(sorted(found))}")


if __name__ == "__main__":
    main()
