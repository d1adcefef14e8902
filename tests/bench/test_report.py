"""Tables and charts of what was measured."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from .peers import SERVERS, servers
from .report import BEGIN, END, ORDER, chart, figures, in_readme, table
from .rows import ROWS

FACTS = {"processor": "2 cores", "system": "Linux", "versions": {"rawsio": "Python 3"}}


def run(server: str, figure: float, row: str = "http-c20", **more: Any) -> dict[str, Any]:
    return {"row": row, "server": server, "us_op": figure, "ok": True, "busy": 0.5, **more}


def found(*runs: dict[str, Any]) -> dict[str, Any]:
    return {"facts": FACTS, "runs": list(runs)}


def test_the_figure_is_the_median_of_the_repetitions() -> None:
    result = found(run("node", 30.0), run("node", 10.0), run("node", 20.0))
    assert figures(result) == {"http-c20": {"node": 20.0}}


def test_a_wrong_answer_voids_all_repetitions_of_its_server() -> None:
    bad = run("node", 1.0, ok=False, fail="3 wrong answers")
    result = found(run("rawsio", 10.0), run("node", 20.0), bad)
    assert figures(result) == {"http-c20": {"rawsio": 10.0}}
    assert "Void: http-c20 node: 3 wrong answers." in table(result)


def test_ratios_say_how_many_times_less_ours_takes() -> None:
    line = table(found(run("rawsio", 10.0), run("tuned", 5.0), run("node", 30.0))).splitlines()[2]
    assert line == "| plain GET | 10.0 | 5.00 | 30.0 | 0.50 | 0.75 | 3.00 |"


def test_the_chart_has_a_bar_for_each_server_as_long_as_its_ratio_to_node() -> None:
    page = ElementTree.fromstring(chart(found(run("rawsio", 10.0), run("node", 20.0))))
    bars = [e for e in page.iter() if e.tag.endswith("rect") and e.get("height") == "9"]
    ours, nodes = sorted((float(bar.get("width", 0)) for bar in bars), reverse=True)
    assert ours == 2 * nodes


def test_the_readme_has_the_table_between_its_marks_once_however_often_it_is_written() -> None:
    result = found(run("rawsio", 10.0), run("node", 20.0))
    once = in_readme(f"# Title\n{BEGIN}\nold\n{END}\n## Next\n", result)
    assert once.startswith(f"# Title\n{BEGIN}\n![")
    assert once.endswith(f"{END}\n## Next\n")
    assert "old" not in once
    assert in_readme(once, result) == once
    with pytest.raises(ValueError, match="has no"):
        in_readme("# Title\n", result)


def test_every_server_is_in_the_table_and_every_row_has_one_that_does_it() -> None:
    assert set(ORDER) == set(SERVERS)
    for name, row in ROWS.items():
        assert any(peer.does(name, row) for peer in servers("").values())
