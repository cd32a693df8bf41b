"""People who decide in tests: each with a key of their own, at a workspace and a programme."""

from pathlib import Path
from typing import Any

from catalog.declarations import Programme
from catalog.reading import Catalogue
from catalog.signing import Signer
from catalog.workspace import Workspace
from tasks.declare import declare
from tasks.sign import Asked, Deciding, Signed, sign
from tasks.stage import Recorder


class Deciders:
    """Signs as anybody, with a key per name, what is declared in a catalogue's folder."""

    def __init__(
        self, workspace: Workspace, recorder: Recorder, catalogue: Catalogue, folder: Path, keys: Path
    ) -> None:
        self.workspace, self._recorder, self._keys = workspace, recorder, keys
        self.catalogue, self._folder = catalogue, folder
        self.programme: Programme = catalogue.programme

    def signer(self, name: str) -> Signer:
        """The key of the person of that name, made on first use."""
        return Signer.open(self._keys / f"{name}.pem", outside=self.workspace.home)

    def at(self, name: str) -> Deciding:
        """What that person decides at."""
        return Deciding(
            programme=self.programme,
            workspace=self.workspace,
            signer=self.signer(name),
            code="1",
            declare=lambda: declare(self._recorder, self.catalogue, self._folder),
        )

    def sign(self, what: str, role: str, by: str, decision: str, *, key: str = "", **more: Any) -> Signed:
        """Signs, with the person's own key unless that of another is given."""
        return sign(Asked(what=what, role=role, by=by, decision=decision, **more), self.at(key or by))

    def sign_off(self, plan: str, lead: str) -> None:
        """Submits, reviews and signs off a plan of the template."""
        self.sign(f"plan:{plan}", lead, "Lee", "submitted")
        self.sign(f"plan:{plan}", "test-assurance", "Ann", "reviewed")
        self.sign(f"plan:{plan}", "test-assurance", "Ann", "signed-off")
