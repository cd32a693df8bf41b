"""The commands by which people decide: signing what a phase needs, and testing issues."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from catalog.errors import Status
from flows.show import console, escape, print_json

if TYPE_CHECKING:
    from tasks.sign import Deciding

OCCASION = "people"
"""The occasion that the catalogue is recorded for when people decide on it: that of no phase."""


@contextmanager
def deciding_at(options: Namespace, refuse: "Callable[[Deciding], object]") -> "Iterator[Deciding]":
    """The workspace, held while somebody decides; made where there is none, once `refuse` did not raise.

    Raises DeclarationError with every fault of the catalogue.
    """
    from catalog.ledger import Actor, Record
    from catalog.reading import read_catalogue
    from catalog.signing import Signer, key_path
    from catalog.workspace import Workspace, is_workspace, refuse_as_home
    from flows.desk import actor_name, code_version
    from tasks.declare import declare
    from tasks.sign import Deciding
    from tasks.stage import Recorder

    catalogue = read_catalogue(options.catalog)
    refuse_as_home(options.home)
    signer = Signer.open(options.key or key_path(), outside=options.home)
    actor = Actor(name=actor_name(), fingerprint=signer.fingerprint)

    def at(workspace: Workspace) -> Deciding:
        @cache
        def declared() -> Record:
            recorder = Recorder(workspace=workspace, occasion=OCCASION, actor=actor, code=code_version())
            return declare(recorder, catalogue, options.catalog)

        return Deciding(
            programme=catalogue.programme, workspace=workspace, signer=signer, code=code_version(), declare=declared
        )

    if not is_workspace(options.home):
        refuse(at(Workspace(options.home)))
    workspace = Workspace.open(options.home, create=True)
    with workspace.lock():
        yield at(workspace)


def sign(options: Namespace) -> Status:
    """Records a signed decision."""
    from tasks.sign import Asked, prepare, sign

    asked = Asked(
        what=options.what,
        role=options.role,
        by=options.by,
        decision=options.decision,
        reason=options.reason,
        file=options.file,
        until=options.until,
        dated=options.dated,
    )
    with deciding_at(options, lambda deciding: prepare(asked, deciding)) as deciding:
        signed = sign(asked, deciding)
    if options.json:
        print_json(signed.as_json())
        return Status.PROVED
    statement = signed.statement
    attached = f"\nfile     {escape(statement.file_name)}, {statement.file}" if statement.file else ""
    console().print(
        f"{escape(statement.matter)} {escape(statement.subject)}: {escape(statement.decision)}\n"
        f"by       {escape(statement.by)} as {escape(statement.role)}, {statement.time}, "
        f"key {signed.record.actor.fingerprint[:16]}\n"
        f"of       {statement.of}{attached}\n"
        f"record   {signed.record.sequence}, {signed.record.digest}\n"
        "next     plimsoll report PHASE   shows it; plimsoll withdraw RECORD --reason … takes it back",
        soft_wrap=True,
    )
    return Status.PROVED
