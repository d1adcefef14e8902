"""No false alarms behind a proxy: ``python -m tests.interop.behind``.

Our own server is checked, and once more through haproxy in TCP mode: no verdict may change.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.jobs import Stuck, ends_with_sigterm

from .conformance import run_check
from .peers import SERVERS, Missing, haproxy_tcp

__all__ = ["main"]


def main() -> int:
    """Print which verdicts changed; return 1 if any did."""
    ends_with_sigterm()
    with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as there:
        try:
            with SERVERS["rawsio"].running(Path(here)) as url:
                proxy = haproxy_tcp(int(url.rpartition(":")[2]))
                with proxy.running(Path(there)) as behind:
                    plain = run_check([url], Path(here) / "report.json")
                    found = run_check([behind], Path(there) / "report.json")
        except Missing as error:
            print(f"{error} is missing", file=sys.stderr)
            return 1
        except Stuck as error:
            print(error, file=sys.stderr)
            return 1
    verdicts = {case["id"]: case["verdict"] for case in plain["cases"]}
    changed = [case for case in found["cases"] if case["verdict"] != verdicts[case["id"]]]
    for case in changed:
        print(f"{case['id']}: {verdicts[case['id']]}, behind haproxy {case['verdict']} "
              f"({case['got']}; {case['note']})")  # fmt: skip
    print(f"{len(found['cases'])} cases behind haproxy in TCP mode: {len(changed)} changed")
    return 1 if changed or len(found["cases"]) != len(plain["cases"]) else 0


if __name__ == "__main__":
    raise SystemExit(main())
