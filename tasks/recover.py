"""Makes the most of what a test run left in its notebook when nothing ended the run.

What was to be offered follows from the run's key. Rows are placed by their sequence; what has none is lost, and told.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catalog import rules
from catalog.declarations import Programme
from catalog.errors import EvidenceError, WorldError
from catalog.runs import RunState
from catalog.store import disk, parse
from expectations.verdicts import is_closed_loop
from tasks.course import Turn
from tasks.execute import Conducted, Step, arrivals_in, conducted, load_of, scripted_step
from tasks.inject.injector import gap, recovered
from tasks.inject.scripts import ScriptedInjection, recovered_script
from tasks.notebook import STEP, SUMMARY, Notebook


def recover(folder: Path, key: dict[str, Any], programme: Programme) -> Conducted:
    """What is left of a run that nothing ended, under the key and with the programme that it was executed with.

    Raises EvidenceError when the folder holds nothing that can be read, or something of another run.
    """
    if key["rules"][1] != rules.ARRIVALS:
        raise EvidenceError(f"{folder}: its arrivals were drawn by rules {key['rules'][1]}, not {rules.ARRIVALS}")
    notes = Notebook(folder)
    document = _read(notes.document)
    is_closed = is_closed_loop(key["inputs"]["injector"])
    steps = _script_steps(notes, key, document) if is_closed else _steps(notes, key)
    reason = f"the run was killed\n{_gap(steps[-1]) if steps else 'before its first message was offered'}"
    return conducted(programme, document, steps, samples=_samples(notes), state=RunState.INTERRUPTED, reason=reason)


def _gap(step: Step) -> str:
    if isinstance(step.injection, ScriptedInjection):
        return f"{len(step.arrivals)} requests had been recorded"
    return gap(step.sequence, step.arrivals.offset_us, step.injection.columns["sequence"])


def _steps(notes: Notebook, key: dict[str, Any]) -> list[Step]:
    found: list[Step] = []
    first = 0
    for folder in notes.steps():
        turn = Turn.from_json(_read(folder / STEP))
        arrivals = arrivals_in(key, turn)
        summary = _read(folder / SUMMARY) if (folder / SUMMARY).is_file() else {}
        injection = recovered(load_of(arrivals, first), folder, summary)
        found.append(Step(turn=turn, first=first, arrivals=arrivals, injection=injection))
        first += len(arrivals)
    return found


def _script_steps(notes: Notebook, key: dict[str, Any], document: dict[str, Any]) -> list[Step]:
    """The step of a closed loop, if it began. Which messages it would have sent nobody knows: none is lost."""
    labels = tuple(sorted(set(key["inputs"]["environment"]["injector"]["requests"].values())))
    found = []
    for folder in notes.steps():
        summary = _read(folder / SUMMARY) if (folder / SUMMARY).is_file() else {}
        turn = Turn.from_json(_read(folder / STEP))
        found.append(scripted_step(turn, recovered_script(folder, labels, summary), document["window_us"]))
    return found


def _samples(notes: Notebook) -> list[Sequence[Any]]:
    """The rows of samples that are whole: a kill may have torn the last."""
    if not notes.samples.is_file():
        return []
    lines = notes.samples.read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def _read(file: Path) -> dict[str, Any]:
    try:
        with disk(file):
            found: dict[str, Any] = parse(file.read_bytes())
    except ValueError as error:
        raise EvidenceError(f"{file} is not a JSON document: {error}") from error
    except WorldError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise EvidenceError(f"{file} is missing") from error
        raise
    return found
