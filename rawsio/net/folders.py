"""Where a row of names leads in a folder.

It is asked for every request of a file, so it works on text: a ``pathlib.Path`` for each name costs
more than to ask the system.
"""

from __future__ import annotations

import os
from stat import S_ISLNK

__all__ = ["located"]

_REPARSE_POINT = 0x400
"""What leads elsewhere on Windows has this attribute, whether it is a link or not."""


def located(folder: str, names: list[str]) -> tuple[str, os.stat_result, bool]:
    """Return where a row of names leads, past all links, what is there, and whether one is a link.

    Raises ``OSError`` at the first name that is not there: most of what is asked for in vain.
    """
    file, found = folder, os.lstat(folder)
    for name in names:
        file = f"{file}{os.sep}{name}"
        found = os.lstat(file)
        if S_ISLNK(found.st_mode) or getattr(found, "st_file_attributes", 0) & _REPARSE_POINT:
            # Only a link leads out of the folder, and to follow them is dear.
            file = os.path.realpath(os.path.join(folder, *names), strict=True)
            return file, os.stat(file), True
    return file, found, False
