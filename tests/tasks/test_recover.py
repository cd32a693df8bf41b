"""A crash in the midst of a test loses a second or two: what was written is kept, and what was lost has a name."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_execute import acknowledging, chained, conduct, nothing_left_running, rising

from catalog.canonical import canonical
from catalog.errors import EvidenceError
from catalog.runs import RunState
from tasks.inject.files import ROW
from tasks.inject.injector import OwnInjector, gap
from tasks.measure import measure
from tasks.notebook import Notebook
from tasks.parquet import read_table, table_bytes
from tasks.plan import phases_needed, plan_tests
from tasks.recover import recover
from tasks.volumes.model import model_volumes

__all__ = ["nothing_left_running"]


def noted(programme, name, folder, *, seconds=3, **more):
    """One planned test, offered for so long, that writes into `folder` while it goes on."""
    durations = dict.fromkeys(("load", "stress", "soak"), seconds * 1_000_000)
    prepared = conduct(programme, name, **more)
    environment = prepared.environment.model_copy(update={"durations": durations})
    volumes = {each: model_volumes(programme, each) for each in phases_needed(programme, "pilot")}
    planned = plan_tests(programme, "pilot", environment, volumes, occasion="pilot")
    test = next(each for each in planned if each.test == prepared.planned.test)
    folder.mkdir(exist_ok=True)
    return replace(prepared, environment=environment, planned=test, folder=folder)


def segments(folder: Path, step: int = 0) -> list[Path]:
    return sorted((folder / f"step-{step}" / "segments").glob("*.rows"))


def rows_in(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files) // ROW.size


@pytest.fixture
def injector(monkeypatch) -> list[int]:
    """The process ids of the injectors that are started."""
    pids, real = [], OwnInjector.__init__

    def init(self, *, on_start=None, **more):
        real(self, on_start=lambda pid: (pids.append(pid), on_start(pid)), **more)

    monkeypatch.setattr(OwnInjector, "__init__", init)
    return pids


def test_an_injector_that_is_killed_leaves_an_interrupted_run_with_the_rows_it_had_written(
    template, tmp_path, injector
):
    folder = tmp_path / "run"

    def kill(*_):
        if segments(folder):
            os.kill(injector[-1], signal.SIGKILL)

    conducted = noted(template.programme, "orders.load", folder, progress=kill).execute()
    assert conducted.state is RunState.INTERRUPTED
    results, document = conducted.tables["results"], conducted.document
    assert 0 < len(results) == rows_in(segments(folder))
    due = document["target"]["messages"]
    assert len(conducted.tables["arrivals"]) == due > len(results)
    told = document["interrupted"]
    lost = sorted(set(range(due)) - set(results.sequence))
    assert (told["results"], told["lost"], told["first"], told["last"]) == (len(results), len(lost), lost[0], lost[-1])
    offsets = conducted.tables["arrivals"].offset_us
    assert (told["from_us"], told["until_us"]) == (offsets[lost[0]], offsets[lost[-1]])
    assert "exit status -9" in conducted.reason
    assert conducted.reason.endswith(
        f"{len(lost)} of {due} messages have no result: sequences {lost[0]} to {lost[-1]}, "
        f"due {offsets[lost[0]]} to {offsets[lost[-1]]} µs after the start"
    )
    assert (results.intended_us - document["start_us"]).tolist() == offsets[results.sequence].tolist()
    assert (results.path.tolist(), results.srv.tolist()) == (
        conducted.tables["arrivals"].path[results.sequence].tolist(),
        conducted.tables["arrivals"].srv[results.sequence].tolist(),
    )
    assert not conducted.tables["infrastructure"].empty
    canonical(document)


def test_of_an_interrupted_run_only_what_it_offered_is_measured(template, tmp_path, injector):
    """Even where every message has its row, nothing is sufficient without lateness."""
    folder = tmp_path / "run"

    def kill(*_):
        if segments(folder):
            os.kill(injector[-1], signal.SIGKILL)

    conducted = noted(template.programme, "orders.load", folder, progress=kill).execute()
    for name in ("results", "infrastructure"):
        (tmp_path / name).write_bytes(table_bytes(name, conducted.tables[name]))
    found = measure(
        conducted.document, tmp_path / "results", tmp_path / "infrastructure", withins=(1_000_000,), groups={}
    )
    rows = {(row.scope, row.metric): row.value for row in found.itertuples() if not row.scope.startswith("stage:")}
    assert rows == {("all", "offered"): len(conducted.tables["results"])}


def test_an_injector_that_is_killed_before_its_first_message_interrupts_too(template, tmp_path, monkeypatch):
    real = OwnInjector.__init__

    def init(self, *, on_start=None, **more):
        real(self, on_start=lambda pid: os.kill(pid, signal.SIGKILL), **more)

    monkeypatch.setattr(OwnInjector, "__init__", init)
    conducted = noted(template.programme, "orders.load", tmp_path / "run", seconds=1).execute()
    assert conducted.state is RunState.INTERRUPTED
    due = conducted.document["target"]["messages"]
    assert conducted.document["interrupted"]["lost"] == due > 0
    assert conducted.document["start_us"] == 0
    assert conducted.tables == {}


def caught(folder: Path, into: Path, step: int = 0):
    """Copies a run's folder once it has results of a step: what a crash at that moment would have left."""

    def copy(at, *_):
        if at == step and segments(folder, step) and not into.exists():
            shutil.copytree(folder, into)

    return copy


def test_a_run_that_is_killed_is_recovered_from_what_it_wrote(template, tmp_path):
    folder, copy = tmp_path / "run", tmp_path / "copy"
    prepared = noted(template.programme, "orders.load", folder, progress=caught(folder, copy))
    whole = prepared.execute()
    assert whole.state is RunState.FINISHED
    left = recover(copy, prepared.planned.key, template.programme)
    assert left.state is RunState.INTERRUPTED
    rows = left.tables["results"]
    assert 0 < len(rows) == rows_in(segments(copy)) < len(whole.tables["results"])
    expected = whole.tables["results"][whole.tables["results"].sequence.isin(set(rows.sequence))]
    assert rows.equals(expected.reset_index(drop=True))
    assert left.tables["arrivals"].equals(whole.tables["arrivals"])
    samples = left.tables["infrastructure"]
    assert samples.equals(whole.tables["infrastructure"].head(len(samples)))
    assert {"orders", "host", "injector"} <= set(samples.component)
    lost = left.document["interrupted"]
    assert lost["results"] + lost["lost"] == left.document["target"]["messages"] == len(whole.tables["results"])
    assert left.reason.startswith("the run was killed\n")
    same = {name: value for name, value in left.document.items() if name not in ("interrupted", "injector")}
    assert same == {name: whole.document[name] for name in same}
    for name, table in left.tables.items():
        assert read_table(name, table_bytes(name, table)).equals(table)


def test_acknowledgements_and_chains_are_recovered_too(template, edited, tmp_path):
    answering = [("system.message_paths.browse.acknowledged_by", ["storefront"])]
    answering += [("environments.rehearsal.components.storefront.answers", "acknowledge")]
    folder, copy = tmp_path / "run", tmp_path / "copy"
    programme = edited(chained(acknowledging(template.programme, edited), edited), *answering)
    prepared = noted(programme, "storefront.load", folder, progress=caught(folder, copy))
    whole = prepared.execute()
    assert whole.state is RunState.FINISHED
    left = recover(copy, prepared.planned.key, programme)
    rows, all_rows = left.tables["results"], whole.tables["results"]
    assert 0 < len(rows) == rows_in(segments(copy)) < len(all_rows)
    assert set(rows.kind) == {"request", "acknowledgement"}
    assert rows.equals(rows.merge(all_rows, how="inner")[rows.columns.tolist()].astype(rows.dtypes))
    assert left.tables["arrivals"].equals(whole.tables["arrivals"])
    assert left.document["follows"] == whole.document["follows"]
    assert left.document["start_us"] == whole.document["start_us"]
    own = rows[rows.kind == "request"]
    second = own[own.path == "purchase"]
    done = own.set_index("sequence").done_us
    assert len(second) > 0
    assert second.intended_us.tolist() == done[second.sequence - 1].tolist()


def test_a_rising_test_is_recovered_with_the_steps_that_were_over(template, edited, tmp_path):
    folder, copy = tmp_path / "run", tmp_path / "copy"
    programme = rising(template.programme, edited, first="0.25", growth="2", most="0.5")
    prepared = noted(programme, "orders.stress", folder, seconds=2, progress=caught(folder, copy, step=1))
    whole = prepared.execute()
    left = recover(copy, prepared.planned.key, programme)
    assert left.document["steps"] == whole.document["steps"]
    first, second = left.document["steps"]
    kept = left.tables["results"]
    assert (kept.sequence <= first["last"]).sum() == first["last"] + 1
    assert 0 < (kept.sequence >= second["first"]).sum() < second["last"] - second["first"] + 1
    assert left.document["interrupted"]["step"] == 2
    assert left.document["interrupted"]["last"] == second["last"]
    assert left.document["injector"]["steps"] == [whole.document["injector"]["steps"][0], {}]


def test_a_run_that_was_killed_before_its_first_message_has_nothing_but_its_beginning(template, tmp_path):
    prepared = noted(template.programme, "orders.load", tmp_path / "run")
    Notebook(tmp_path / "run").begin(prepared._document())
    left = recover(tmp_path / "run", prepared.planned.key, template.programme)
    assert (left.state, left.tables, left.document["target"]) == (RunState.INTERRUPTED, {}, {"messages": 0})
    assert left.reason == "the run was killed\nbefore its first message was offered"


def test_a_run_that_was_killed_before_or_as_it_began_has_a_blank_notebook(template, tmp_path):
    prepared = noted(template.programme, "orders.load", tmp_path / "run")
    notes = Notebook(tmp_path / "run")
    assert notes.is_blank
    (tmp_path / "run" / ".run.json.a1b2c3").write_text('{"ru')  # what `write_durably` had begun
    assert notes.is_blank
    (tmp_path / "run" / "step-0").mkdir()
    assert not notes.is_blank
    with pytest.raises(EvidenceError, match=r"run\.json is missing"):
        recover(tmp_path / "run", prepared.planned.key, template.programme)
    (tmp_path / "run" / "step-0").rmdir()
    notes.begin(prepared._document())
    assert not notes.is_blank


def test_a_sample_that_was_torn_is_left_out(template, tmp_path):
    folder, copy = tmp_path / "run", tmp_path / "copy"
    prepared = noted(template.programme, "orders.load", folder, seconds=2, progress=caught(folder, copy))
    prepared.execute()
    file = Notebook(copy).samples
    whole = file.read_bytes()
    lines = whole.splitlines()
    file.write_bytes(whole[:-9])
    left = recover(copy, prepared.planned.key, template.programme)
    assert len(left.tables["infrastructure"]) == len(lines) - 1


def test_what_cannot_be_read_is_refused(template, tmp_path):
    prepared = noted(template.programme, "orders.load", tmp_path / "run")
    key = prepared.planned.key
    with pytest.raises(EvidenceError, match="its arrivals were drawn by rules 1, not"):
        recover(tmp_path / "run", {**key, "rules": [key["rules"][0], 1]}, template.programme)
    (tmp_path / "run" / "run.json").write_text('{"run"')
    with pytest.raises(EvidenceError, match="is not a JSON document"):
        recover(tmp_path / "run", key, template.programme)


def test_a_gap_is_named_by_its_ends():
    sequence, offsets = np.arange(5), np.arange(5) * 10
    assert gap(sequence, offsets, np.array([0, 3])) == (
        "3 of 5 messages have no result: sequences 1 to 4, due 10 to 40 µs after the start"
    )
    assert gap(sequence, offsets, sequence) == "every message has its result"
