"""Running `plimsoll` as people do, in processes of its own, on programmes and workspaces in temporary folders."""

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from tests.shops import write_shop

VARIANTS = """
  - id: rehearsal-leaking-orders
    title: Rehearsal with an order service that leaks
    extends: rehearsal
    defect: The order service keeps 64 KiB for every message.
    components:
      orders: {workers: 6, service: 32 ms, leak_bytes: 65536}
  - id: rehearsal-failing-orders
    title: Rehearsal with an order service that fails
    extends: rehearsal
    defect: Every fifth answer of the order service is an error.
    components:
      orders: {workers: 6, service: 32 ms, error_permille: 200}
  - id: nobody-there
    title: A real environment where nothing listens
    kind: real
    entries: {storefront: "http://127.0.0.1:9", orders: "http://127.0.0.1:9"}
"""

MEASURED = {name: value for name, value in os.environ.items() if name.startswith("COV")}
"""What makes a process be measured for coverage. Whole phases are not: tracing would slow what they measure."""

PREFECT = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
"""What leads to a Prefect API that is up already."""

PLIMSOLL = str(Path(sys.executable).with_name("plimsoll"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended: its exit status, what it printed, and that as JSON where it was asked for."""

    status: int
    stdout: str
    stderr: str

    @property
    def answer(self) -> Any:
        return json.loads(self.stdout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A programme and a workspace, and the surroundings that commands run in."""

    catalog: Path
    home: Path
    environ: dict[str, str]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Starts a command in a process group of its own, so that a signal reaches it as Ctrl-C does."""
        return subprocess.Popen(
            [PLIMSOLL, *self.words(arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.environ, **(MEASURED if arguments[0] == "emulate" else {})},
            start_new_session=True,
        )

    def words(self, arguments: tuple[str, ...]) -> list[str]:
        """A command with the programme and the workspace that it is about."""
        where = (
            []
            if arguments[0] in ("verify", "lineage", "reperform", "export", "withdraw", "submission", "extensions")
            or arguments[:2] == ("issue", "list")
            else ["--catalog", str(self.catalog)]
        )
        homeless = arguments[0] in ("check", "volumes", "emulate", "init", "extensions")
        homed = [] if homeless else ["--home", str(self.home)]
        return [*arguments, *where, *homed]

    def ask(self, *arguments: str) -> Ended:
        """Runs a command that starts no flow in this process: what it answers is the matter, not how it starts."""
        written, err = io.BytesIO(), io.StringIO()
        out = io.TextIOWrapper(written, "utf-8")
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name in ("XDG_CONFIG_HOME", "PLIMSOLL_CACHE", "PLIMSOLL_ACTOR"):
                patch.setenv(name, self.environ[name])
            status = main(self.words(arguments))
            out.flush()
        return Ended(status=status, stdout=written.getvalue().decode(), stderr=err.getvalue())

    def run(self, *arguments: str, timeout: int = 600) -> Ended:
        """Runs a command to its end."""
        process = self.start(*arguments)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return Ended(status=process.returncode, stdout=stdout, stderr=stderr)

    def sign_off(self, *plans: str) -> None:
        """Has plans of the template submitted, reviewed and signed off, by two people with a key each."""
        lead = {"storefront-plan": "storefront-lead", "orders-plan": "orders-lead"}
        for plan in plans:
            for role, by, decision in (
                (lead[plan], "Lee", "submitted"),
                ("test-assurance", "Ann", "reviewed"),
                ("test-assurance", "Ann", "signed-off"),
            ):
                ended = self.sign(f"plan:{plan}", role, by, decision)
                assert ended.status == 0, ended.stderr

    def sign(self, what: str, role: str, by: str, decision: str, *more: str) -> Ended:
        """Signs a decision as somebody, with a key of their own."""
        key = str(self.home.with_name(f"{by}.pem"))
        return self.run("sign", what, "--as", role, "--by", by, "--decision", decision, "--key", key, "--json", *more)

    def observations(self, phase: str) -> list[dict[str, Any]]:
        """The observations that the phase's newest report was assembled from."""
        return self.facts(phase)["observations"]["rows"]

    def facts(self, phase: str) -> dict[str, Any]:
        """The facts that the phase's newest report was assembled from."""
        from catalog.ledger import Kind
        from catalog.workspace import Workspace

        workspace = Workspace.open(self.home)
        record = workspace.select(Kind.REPORTED, phase=phase)[-1]
        facts: dict[str, Any] = workspace.store.document(record.output("facts") or "")
        return facts

    def edit(self, file: str, old: str, new: str) -> None:
        """Replaces `old`, which must stand there once, in a file of the programme."""
        path = self.catalog / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new))


def make_shop(folder: Path, surroundings: dict[str, str]) -> Bench:
    """A copy of the template's programme in `folder`."""
    catalog = folder / "shop"
    write_shop(catalog)
    environments = catalog / "environments.yaml"
    environments.write_text(environments.read_text() + VARIANTS)
    return Bench(catalog=catalog, home=folder / "home", environ=surroundings)
