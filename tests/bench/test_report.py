"""Tables and charts of what was measured."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from .browser import PAGES
from .clients import CLIENTS
from .clients import result as judged
from .peers import SERVERS, servers
from .report import BEGIN, BESIDE, ELSEWHERE, END, chart, figures, in_readme, table, tables
from .rows import ROWS
from .talks import PARTS, TALKS, talk_figures

FACTS = {
    "processor": "2 cores",
    "system": "Linux",
    "titles": {name: name for name in SERVERS},
    "versions": {"rawsio": "Python 3"},
}


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


def test_what_ours_took_before_is_beside_what_it_takes_now() -> None:
    heads, _, line, *rest = table(found(run("rawsio", 10.0), run("before", 25.0))).splitlines()
    assert heads == "| row | rawsio | before | goal | gain |"
    assert line == "| plain GET | 10.0 | 25.0 | 0.75 | 2.50 |"
    assert any("gain: what ours took before over what it takes now." in text for text in rest)


def test_ours_under_another_python_has_a_table_of_its_own_and_is_compared_there() -> None:
    runs = [run("rawsio", 10.0), run("also", 8.0), run("also-tuned", 6.0)]
    lines = table(found(*runs)).splitlines()
    at = lines.index("Ours elsewhere:")
    assert lines[at + 2] == "| row | rawsio | also | also-tuned | P there |"
    assert lines[at + 4] == "| plain GET | 10.0 | 8.00 | 6.00 | 0.75 |"
    assert "Ours elsewhere:" not in table(found(run("rawsio", 10.0), run("node", 9.0)))


def talk(client: str, count: int, **more: Any) -> dict[str, Any]:
    run = {"row": "talk-d1", "client": client, "count": count, "cpu": 0.5, "seconds": 2.0}
    return {"ok": True, **run, **more}


def talked(*runs: dict[str, Any]) -> dict[str, Any]:
    titles = {name: name for name in ("loop", "ours", "official")}
    return {"facts": {"titles": titles, "versions": {"official": "4"}}, "runs": list(runs)}


def test_a_client_is_measured_by_its_own_cpu_and_a_page_by_the_clock_and_its_thread() -> None:
    text = tables({"clients": talked(talk("loop", 100), talk("official", 50))})
    assert "| row | loop | official | N |" in text
    assert "| echo, one at a time | 200 | 100 | 2.00 |" in text
    text = tables({"browser": talked(talk("ours", 100), talk("official", 50))})
    assert "| echo, one at a time | 50 | 25 | 2.00 |" in text
    assert "| echo, one at a time, of its thread | 200 | 100 | 2.00 |" in text


def test_a_client_that_had_a_wrong_answer_has_no_figure_and_is_named() -> None:
    bad = talk("official", 9, ok=False, fail="1 wrong answers")
    result = talked(talk("loop", 100), talk("official", 50), bad)
    assert talk_figures(result, "cpu") == {"talk-d1": {"loop": 200.0}}
    assert "Void: talk-d1 official: 1 wrong answers." in tables({"clients": result})


def test_what_a_client_says_is_judged() -> None:
    good = '{"count": 5, "cpu": 0.1, "seconds": 1.0, "errors": 0}'
    assert judged(good, 1.0)["ok"]
    assert judged(good.replace('"errors": 0', '"errors": 2'), 1.0)["fail"] == "2 wrong answers"
    assert judged(good.replace('"count": 5', '"count": 0'), 1.0)["fail"] == "no answer in 1 seconds"
    assert judged("", 1.0)["fail"] == "the client says nothing"


def test_clients_are_compared_that_there_are_and_no_row_is_called_like_one_of_the_servers() -> None:
    known = {"clients": CLIENTS, "browser": tuple(PAGES)}
    for name, part in PARTS.items():
        assert all({*ratio[1:]} <= {*known[name]} for ratio in part.ratios)
    assert not {*TALKS} & {*ROWS}


def test_the_chart_has_a_bar_for_each_server_as_long_as_its_ratio_to_node() -> None:
    page = ElementTree.fromstring(chart(found(run("rawsio", 10.0), run("node", 20.0))))
    bars = [e for e in page.iter() if e.tag.endswith("rect") and e.get("height") == "9"]
    ours, nodes = sorted((float(bar.get("width", 0)) for bar in bars), reverse=True)
    assert ours == 2 * nodes


def test_a_bar_that_would_make_all_others_short_is_broken_and_has_its_number() -> None:
    text = chart(found(run("rawsio", 1.0), run("node", 40.0), run("bun", 80.0)))
    bars = [e for e in ElementTree.fromstring(text).iter() if e.get("height") == "9"]
    widths = [float(bar.get("width", 0)) for bar in bars]
    assert len(bars) == 4
    assert sum(widths[:2]) <= 10 * widths[2]
    assert ">40.00</text>" in text


def test_the_readme_has_the_table_between_its_marks_once_however_often_it_is_written() -> None:
    result = found(run("rawsio", 10.0), run("node", 20.0))
    once = in_readme(f"# Title\n{BEGIN}\nold\n{END}\n## Next\n", {"servers": result})
    assert once.startswith(f"# Title\n{BEGIN}\n![")
    assert once.endswith(f"{END}\n## Next\n")
    assert "old" not in once
    assert in_readme(once, {"servers": result}) == once
    with pytest.raises(ValueError, match="has no"):
        in_readme("# Title\n", {"servers": result})


def test_every_server_is_in_the_table_and_every_row_has_one_that_does_it() -> None:
    assert {*BESIDE, *ELSEWHERE} == {*SERVERS}
    for name, row in ROWS.items():
        assert any(peer.does(name, row) for peer in servers("").values())
