"""What the next run makes of folders that a killed one left; runs that had begun are in tests/tasks/test_recover.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from catalog import rules, underway
from catalog.workspace import Run
from flows.recovery import recover


def test_a_run_that_had_noted_nothing_is_no_obstacle_and_what_cannot_be_read_stays(tmp_path: Path) -> None:
    started: Any = SimpleNamespace(inputs=(), key="k", sequence=1, parameters={}, output=lambda _: None)
    runs = [Run(id=f"pilot/pilot.orders.load/{number}", started=started, executed=None) for number in (1, 2)]
    blank, torn = (underway.make(tmp_path, run.id) for run in runs)
    nobodys = underway.make(tmp_path, "pilot/pilot.orders.load/3")
    (blank / ".run.json.x1y2").write_text('{"run')
    (torn / "step-0").mkdir()
    store = SimpleNamespace(document=lambda _: {"rules": [rules.EXECUTE, rules.ARRIVALS]})
    workspace = SimpleNamespace(home=tmp_path, store=store, runs=lambda: runs, select=lambda _: [])
    desk: Any = SimpleNamespace(workspace=workspace, programme=None)
    assert recover(desk) == []
    assert set(underway.left(tmp_path).values()) == {torn, nobodys}
    assert recover(desk) == []
