"""``python -m tests.explore [SECONDS]``: explore each scenario deeper, for so many seconds."""

from __future__ import annotations

import sys

from .explorer import explore
from .scenarios import SCENARIOS

share = float(sys.argv[1] if len(sys.argv) > 1 else 300) / len(SCENARIOS)
wrong = 0
for name, (scenario, depth) in SCENARIOS.items():
    found = explore(scenario, 3 * depth, seconds=share)
    print(
        f"{name}: {found.states} states" + (", all" if found.exhausted else ""),
        flush=True,
    )
    for trace, lines in found.faults.items():
        wrong += 1
        print(f"  {' > '.join(trace)}\n    " + "\n    ".join(lines))
sys.exit(wrong > 0)
