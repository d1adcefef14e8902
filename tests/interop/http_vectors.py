"""Judge the HTTP layer by somebody else's vectors: ``python -m tests.interop.http_vectors FILE``.

The file is JSON: ``{"cases": [{"id", "expected", "bytes", ...}]}``.  ``bytes`` is a wire in base64
(``bytes_host`` the same with the ``Host`` that HTTP/1.1 asks for, where the collection left it
out); ``expected`` is ``valid``, ``invalid``, ``incomplete``, or ``either``, where only a crash is
wrong; ``n_requests`` and ``n_complete`` say how many requests it holds.  The collections belong to
others, so none is part of this project: the environment's ``HTTP_VECTORS`` names one for the CI.

The one idea: :func:`tests.http.feeding.outcome` feeds each wire whole, split in two, and byte by
byte, and demands equal results, so a case that passes has passed in all three ways.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

from rawsio.layer import Closing
from tests.http.feeding import Outcome, outcome

__all__ = ["judge", "main"]


def judge(case: dict[str, Any], got: Outcome) -> bool:
    """Return whether what came of a wire is what the case expects."""
    expected = case["expected"]
    if expected == "valid":
        if got.failed is not None:
            return got.failed == ("9110-9.1-method", 501)
        over = got.closing is not Closing.OPEN or got.rest != b""
        return over or got.complete >= case.get("n_requests", 1)
    if expected == "invalid":
        # A head that has not ended is not judged yet, but nothing was taken either.
        return got.failed is not None or got.complete == 0
    if expected == "incomplete":
        return got.failed is not None or got.complete <= case.get("n_complete", 0)
    return True


def main(arguments: list[str]) -> int:
    """Run all the cases of a file; the exit code is 1 if one failed."""
    cases = json.loads(Path(arguments[0]).read_text("utf-8"))["cases"]
    failed = 0
    for case in cases:
        wire = base64.b64decode(case.get("bytes_host") or case["bytes"])
        got = outcome(wire, splits=60)
        if not judge(case, got):
            failed += 1
            print(f"{case['id']}: {case['expected']}, but {got.events}")
    print(f"{len(cases) - failed} of {len(cases)} vectors passed: whole, split, and byte by byte")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
