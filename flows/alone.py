"""So that two runs never load one environment: what a run holds while it executes tests.

The machine: what measures load must have it to itself, and an emulated environment is the machine. A lock file in
`PLIMSOLL_CACHE`, which the kernel gives back however its holder ends.

A real environment, from whichever machine: the global concurrency limit `plimsoll-<programme>-<environment>` of the
Prefect server, where there is one. Its slot is leased: that of a run which was killed is free again after a minute.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from catalog.declarations import EnvironmentKind
from catalog.errors import WorldError
from flows.deployed import patience
from flows.desk import Desk
from flows.machine import machine
from flows.prefect_api import is_shared
from tasks.plan import Decided, Decision

LEASE_S = 60
"""How long a slot stays taken by a run that nobody hears of: the least that Prefect allows."""


@contextmanager
def alone(desk: Desk, doing: Sequence[Decided]) -> Iterator[None]:
    """While tests are executed. Nothing is held where none is.

    While another run holds any of it, one that Prefect started waits, and one of the command line raises WorldError.
    """
    if not any(each.decision is Decision.EXECUTE for each in doing):
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(machine(patience()))
        if desk.environment.kind is EnvironmentKind.REAL and is_shared():
            stack.enter_context(limited(limit_of(desk.programme.programme.programme, desk.environment.id)))
        yield


def limit_of(programme: str, environment: str) -> str:
    """The name of an environment's global concurrency limit."""
    return f"plimsoll-{programme}-{environment}"


@contextmanager
def limited(name: str) -> Iterator[None]:
    """Holds the only slot of the global concurrency limit `name`, which is made where there is none.

    Raises WorldError, where this run does not wait, while another holds it.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.concurrency.sync import concurrency
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):  # another run was quicker
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
    timeout = None if patience() else 1
    slot = concurrency(
        name, strict=True, timeout_seconds=timeout, lease_duration=LEASE_S, raise_on_lease_renewal_failure=False
    )
    try:
        slot.__enter__()
    except TimeoutError:
        remedy = f"Wait until it has ended. `prefect global-concurrency-limit inspect {name}` shows the limit."
        raise WorldError(f"another run loads the environment: the limit {name} is taken", remedy=remedy) from None
    with ExitStack() as stack:
        stack.push(slot.__exit__)
        yield
