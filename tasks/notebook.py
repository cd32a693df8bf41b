"""What a test run writes while it goes on, so that a crash loses a few seconds of it at most.

run.json              the run as it began: its document without what only its end can tell
step-N/step.json      the turn that step N (from 0) is: what it is for, and what it offers
step-N/segments/      its results so far (`tasks.inject.segments`); step-N/summary.json once it is over
samples.jsonl         infrastructure samples so far, a row each, as `tasks.sample` writes them

How they are read again is told in `tasks.recover`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from catalog.canonical import canonical
from catalog.store import disk, make_below, write_durably
from tasks.course import Turn

STEP = "step.json"
SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True)
class Notebook:
    """The folder of a run that goes on."""

    folder: Path

    @property
    def document(self) -> Path:
        """Where the run stands as it began."""
        return self.folder / "run.json"

    @property
    def samples(self) -> Path:
        """Where infrastructure samples go."""
        return self.folder / "samples.jsonl"

    @property
    def is_blank(self) -> bool:
        """Whether nothing was noted: whoever was about to begin it was killed before, or as it did."""
        with disk(self.folder):
            return all(each.name.startswith(f".{self.document.name}.") for each in self.folder.iterdir())

    def begin(self, document: Mapping[str, Any]) -> None:
        """Notes what is known of the run before its first message."""
        with disk(self.folder):
            write_durably(self.document, canonical(document))

    def step(self, index: int, turn: Turn) -> Path:
        """The folder of a step that is about to be offered."""
        folder = self.folder / f"step-{index}"
        with disk(folder):
            make_below(self.folder.parent, folder)
            write_durably(folder / STEP, canonical(turn.as_json()))
        return folder

    def steps(self) -> Iterator[Path]:
        """The folders of the steps that were begun, in order."""
        for index in count():
            folder = self.folder / f"step-{index}"
            if not (folder / STEP).is_file():
                return
            yield folder
