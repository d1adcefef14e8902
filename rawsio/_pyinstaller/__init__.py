"""What PyInstaller asks an installed package for: where its hooks are.

The hook beside this file names what no import statement does: the files that are no modules, and
the modules that are imported by their names when they are first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["files", "hook_dirs", "modules"]

_KINDS = (".css", ".html", ".js", ".tsv", ".txt")


def hook_dirs() -> list[str]:
    """Return the folders of hooks; named in the entry point ``pyinstaller40``.

    >>> len(hook_dirs())
    1
    """
    return list(__path__)


def files() -> list[tuple[str, str]]:
    """Return the files that are no modules, each with the folder that it belongs into.

    >>> "rawsio/browser" in {folder for _, folder in files()}
    True
    """
    return [(str(file), folder) for file, folder in _found() if file.suffix in _KINDS]


def modules() -> list[str]:
    """Return the names of all modules.

    >>> "rawsio.redis" in modules()
    True
    """
    return [
        f"{folder}/{file.stem}".removesuffix("/__init__").replace("/", ".")
        for file, folder in _found()
        if file.suffix == ".py" and "_pyinstaller" not in folder
    ]


def _found() -> list[Any]:
    from pathlib import Path

    root = Path(__path__[0]).parent
    everything = sorted(root.rglob("*.*"))
    return [(file, file.parent.relative_to(root.parent).as_posix()) for file in everything]
