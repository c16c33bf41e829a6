"""What the benchmarks of speed tell: targets, tables and bars, and that the README tells what was measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench.speed import figures, report
from bench.speed.__main__ import SCENARIOS, main
from bench.speed.chart import draw, worth
from bench.speed.machine import facts
from bench.speed.targets import TARGETS, Target
from tests.houses.figures import held

ROOT = Path(__file__).parents[1]
PUBLISHED = report.read(ROOT / "docs/speed.json")
DOCUMENT = (ROOT / "docs/speed.md").read_text()


def test_every_scenario_has_targets_and_every_target_a_scenario() -> None:
    """Nothing is to be reached that nobody measures, and nothing is measured for nothing."""
    assert {target.scenario for target in TARGETS.values()} == set(SCENARIOS)


def test_a_target_bounds_from_one_side() -> None:
    """At least lets equal and more pass, at most equal and less."""
    least = Target(key="a.b", text="", at="least", bound=2)
    most = Target(key="a.b", text="", at="most", bound=2)
    assert [least.met(value) for value in (1.9, 2, 2.1)] == [False, True, True]
    assert [most.met(value) for value in (1.9, 2, 2.1)] == [True, True, False]


def test_a_bar_is_as_long_as_a_figure_is_good() -> None:
    """Twice as good is 2, half as good a half, whichever side is good; nothing is beyond what a bar can show."""
    least = Target(key="a.b", text="", at="least", bound=2)
    most = Target(key="a.b", text="", at="most", bound=2)
    assert [worth(least, value) for value in (4, 1, 0, 1000)] == [2, 0.5, 1 / 8, 8]
    assert [worth(most, value) for value in (1, 4, 0, 1000)] == [2, 0.5, 8, 1 / 8]


def made(**changes: Any) -> dict[str, Any]:
    """Make results of one scenario."""
    outcome = figures.outcome({"start.ready": 0.51239, "start.help": 0.5}, starts=(1, 2), deep={"pi": 3.14159265})
    scenarios = {"start": report.record(outcome, seconds=2.04, made="today")}
    return {"machine": facts(), "quick": False, "scenarios": scenarios, **changes}


def test_a_record_says_what_was_to_be_reached() -> None:
    """Value to four digits, unit, target and whether it is met; facts as JSON has them."""
    scenario = made()["scenarios"]["start"]
    assert scenario["figures"] == [
        {"key": "start.ready", "value": 0.5124, "unit": "s", "target": "most 1", "met": True},
        {"key": "start.help", "value": 0.5, "unit": "s", "target": "most 0.25", "met": False},
    ]
    assert scenario["facts"] == {"starts": [1, 2], "deep": {"pi": 3.142}}


def test_the_table_has_every_target() -> None:
    """What was not measured says so; what was missed stands out."""
    text = report.table(made())
    assert text.count("\n| ") == len(TARGETS)
    assert "| start to READY | at most 1 s | 0.512 s | yes |" in text
    assert "| `bgrd --help` | at most 0.25 s | 0.5 s | **no** |" in text
    assert text.count("not measured") == len(TARGETS) - 2


def test_only_results_of_the_same_machine_stay() -> None:
    """A scenario that was run anew replaces its old results; on another machine, or less thoroughly, all do."""
    old = made(scenarios={"start": 1, "idle": 2})
    assert report.merged(old, made(scenarios={"idle": 3}))["scenarios"] == {"start": 1, "idle": 3}
    for key, value in (("quick", True), ("machine", {})):
        assert report.merged({**old, key: value}, made(scenarios={"idle": 3}))["scenarios"] == {"idle": 3}


def test_the_table_goes_between_its_marks() -> None:
    """What stands around them stays; a text without marks is refused."""
    first, last = report.MARKS
    text = report.replaced(f"before\n{first}\nold\n{last}\nafter\n", made())
    assert text == f"before\n{first}\n{report.table(made())}\n{last}\nafter\n"
    with pytest.raises(ValueError, match="marks"):
        report.replaced("before\n", made())


def test_the_readme_tells_what_was_measured() -> None:
    """Its table is the one of docs/speed.json, which is of a whole run of every scenario."""
    readme = (ROOT / "README.md").read_text()
    assert report.replaced(readme, PUBLISHED) == readme
    assert not PUBLISHED["quick"]
    assert PUBLISHED["scenarios"].keys() == SCENARIOS.keys()
    held(PUBLISHED, *SCENARIOS)


def test_the_published_targets_are_those_of_today() -> None:
    """No figure was held against another bound than the table now has."""
    for key, figure in report.reached(PUBLISHED).items():
        assert figure["target"] == f"{TARGETS[key].at} {TARGETS[key].bound:g}"
        assert figure["met"] == TARGETS[key].met(figure["value"]), key


def test_every_scenario_is_explained() -> None:
    """docs/speed.md has a row for each, and the picture is there."""
    assert re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE) == list(SCENARIOS)
    assert (ROOT / "docs/speed.png").exists()


def test_a_quick_run_is_not_published(capsys: pytest.CaptureFixture[str]) -> None:
    """Its figures mean nothing."""
    with pytest.raises(SystemExit):
        main(["--quick", "--publish"])
    assert "measures nothing" in capsys.readouterr().err


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    """Figures of every worth, down to none at all."""
    draw(made(), tmp_path / "some.png")
    draw(made(scenarios={}), tmp_path / "none.png")
    assert all((tmp_path / name).stat().st_size for name in ("some.png", "none.png"))
