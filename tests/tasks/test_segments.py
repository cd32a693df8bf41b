"""Results are on disk while the load runs, in segments that are whole, and a crash says what it lost."""

import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import EvidenceError, WorldError
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.inject.files import RESULTS, ROW, Outcome
from tasks.inject.injector import SEGMENTS, InterruptedLoadError, Load, OwnInjector, Target, recovered


def steady(count: int, per_second: int, *, first: int = 0) -> Load:
    """Messages of one kind, evenly spaced, numbered backwards from the last."""
    return Load.of(
        sequence=first + np.arange(count)[::-1], offset_us=np.arange(count) * 1_000_000 // per_second,
        path=["p"] * count, srv=["s"] * count, kind=["request"] * count, device=["d"] * count,
    )  # fmt: skip


def segments(folder: Path) -> list[Path]:
    return sorted((folder / SEGMENTS).glob("*.rows"))


def test_a_killed_injector_leaves_whole_segments_and_the_gap_has_a_name(tmp_path: Path) -> None:
    load, pids = steady(2000, 400), list[int]()
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:

        def kill(*_: int) -> None:
            if segments(tmp_path):
                os.kill(pids[0], signal.SIGKILL)

        injector = OwnInjector(on_start=pids.append, folder=tmp_path)
        with pytest.raises(InterruptedLoadError, match="the injector ended unexpectedly with exit status -9") as caught:
            injector.run(load, Target(urls={"p": component.url}, codec="plain"), progress=kill)
    kept = caught.value.injection.columns
    files = segments(tmp_path)
    assert sum(file.stat().st_size for file in files) == len(kept["sequence"]) * ROW.size > 0
    starts = [int(file.stem) for file in files]
    lengths = [file.stat().st_size // ROW.size for file in files]
    assert starts == [sum(lengths[:place]) for place in range(len(files))]
    assert set(kept["outcome"]) == {Outcome.OK}
    assert np.all(kept["done_us"] > kept["sent_us"])
    assert np.all(np.diff(kept["intended_us"]) >= 0)  # the order of the load, not that in which messages ended
    lost = caught.value.lost
    assert np.array_equal(np.sort(np.concatenate([kept["sequence"], lost])), np.arange(2000))
    place = np.flatnonzero(np.isin(load.sequence, lost))
    gap = (
        f"{len(lost)} of 2000 messages have no result: sequences {lost[0]} to {lost[-1]}, "
        f"due {load.offset_us[place[0]]} to {load.offset_us[place[-1]]} µs after the start"
    )
    assert str(caught.value).endswith(gap)
    again = recovered(load, tmp_path)
    assert all(np.array_equal(again.columns[name], kept[name]) for name in RESULTS)


def test_segments_come_while_the_load_runs_and_together_are_the_results(tmp_path: Path) -> None:
    load, during = steady(1500, 500, first=7), set[str]()
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        injection = OwnInjector(folder=tmp_path).run(
            load,
            Target(urls={"p": component.url}, codec="plain"),
            progress=lambda *_: during.update(file.name for file in segments(tmp_path)),
        )
    assert len(segments(tmp_path)) >= 3
    assert during
    assert not list((tmp_path / SEGMENTS).glob("*.part"))
    assert np.array_equal(injection.columns["sequence"], load.sequence)
    again = recovered(load, tmp_path)
    assert all(np.array_equal(again.columns[name], injection.columns[name]) for name in RESULTS)


def test_segments_of_another_load_are_refused(tmp_path: Path) -> None:
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        OwnInjector(folder=tmp_path).run(steady(50, 1000), Target(urls={"p": component.url}, codec="plain"))
    with pytest.raises(EvidenceError, match="holds results of another load"):
        recovered(steady(40, 1000), tmp_path)


def test_a_disk_that_cannot_be_written_is_the_environments_fault(tmp_path: Path) -> None:
    """The folder is gone when the first segment is due."""
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        injector = OwnInjector(on_start=lambda _: (tmp_path / SEGMENTS).rename(tmp_path / "elsewhere"), folder=tmp_path)
        with pytest.raises(WorldError, match=re.escape(str(tmp_path / SEGMENTS))):
            injector.run(steady(50, 1000), Target(urls={"p": component.url}, codec="plain"))
