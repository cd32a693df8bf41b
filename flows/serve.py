"""`plimsoll serve`: every deployment of a programme, with its schedules, served by one process on one machine.

Where no Prefect server is configured, one is started beside it for as long as it takes, with its pages, on the database
in `PREFECT_HOME`, for whoever has its password. Runs are processes of their own, one at a time. prefect.yaml declares
the same for work pools.
"""

import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from catalog.declarations import Programme
from catalog.errors import Status

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

_PHASE, _REGRESSION = "flows.capability_phase.capability_phase", "flows.regression.regression"
_ZONE = "Europe/London"


def serve(options: Namespace) -> Status:
    """Serves until it is interrupted."""
    from catalog.reading import read_catalogue
    from flows.run import QUIET

    programme = read_catalogue(options.catalog).programme
    for name, value in QUIET.items():
        if "LOGGING" not in name:
            os.environ.setdefault(name, value)
    with _server(options.port):
        import prefect

        warnings.filterwarnings("ignore", message="coroutine 'Runner.astop' was never awaited")  # at SIGTERM: its own
        prefect.serve(*served(deployments(programme), _given(options)), limit=1)
    return Status.PROVED


def deployments(programme: Programme) -> list[dict[str, Any]]:
    """What is deployed, as prefect.yaml has it of the shipped programme: name, entrypoint, parameters, schedules."""
    declared = programme.programme
    return [
        *(
            _deployment(phase.id, _PHASE, f"{phase.title}, to its completion report", {"phase": phase.id})
            for phase in declared.phases
        ),
        _deployment("programme", "flows.programme.programme", "Every capability phase in order"),
        _deployment("regression", _REGRESSION, "The scheduled regression", cron="0 4 * * *", slug="daily"),
        *(_deployment(each.id, _REGRESSION, each.title, {"which": each.id}) for each in declared.regression.others),
        _deployment(
            "inbox",
            "flows.inbox.intake",
            "Takes in what is in the drop folder",
            {"inbox": "inbox"},
            "7 * * * *",
            "hourly",
        ),
        {
            **_deployment(
                "decide", "flows.human_input.decide", "Asks the holder of a key for a decision, and signs it"
            ),
            "concurrency_limit": None,  # many may wait for people at once
        },
        _deployment(
            "audit", "flows.auditing.audit", "Verifies the evidence", {"sample": "0.1"}, "0 3 * * *", "nightly"
        ),
    ]


def _deployment(
    name: str,
    entrypoint: str,
    description: str,
    parameters: Mapping[str, str] | None = None,
    cron: str = "",
    slug: str = "",
) -> dict[str, Any]:
    schedules = [{"cron": cron, "timezone": _ZONE, "slug": slug}] if cron else []
    return {
        "name": name,
        "entrypoint": entrypoint,
        "description": description,
        "parameters": {**(parameters or {}), "home": ""},
        "schedules": schedules,
    }


def served(declared: Sequence[Mapping[str, Any]], given: Mapping[str, str]) -> "list[RunnerDeployment]":
    """These deployments, with what is `given` in the place of parameters that a flow has."""
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    found = []
    for each in declared:
        module, _, name = each["entrypoint"].rpartition(".")
        flow: Any = getattr(import_module(module), name)
        parameters = {**each["parameters"], **given}
        found.append(
            flow.to_deployment(
                each["name"],
                description=each["description"],
                tags=["plimsoll", each["name"]],
                parameters={key: value for key, value in parameters.items() if key in flow.parameters.properties},
                schedules=[
                    Cron(schedule["cron"], timezone=schedule["timezone"], slug=schedule["slug"])
                    for schedule in each["schedules"]
                ],
                concurrency_limit=each.get("concurrency_limit", 1),
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
        )
    return found


def _given(options: Namespace) -> dict[str, str]:
    """What the command line says in place of the declared parameters. Runs may begin elsewhere: paths are absolute."""
    home = getattr(options, "remote", None) or str(options.home.resolve())
    given = {
        "home": home,
        "catalog": str(options.catalog.resolve()),
        "environment": options.environment,
        "inbox": str(options.inbox.resolve()),
    }
    return {name: value for name, value in given.items() if value}


@contextmanager
def _server(port: int) -> Iterator[None]:
    """While this goes on: the server that settings name, or one of our own with everything that a server does."""
    from flows.prefect_api import own_password, password_file, start_server, use_api

    server = start_server(port)
    try:
        with use_api(server) as is_ours:
            from prefect.settings import PREFECT_API_URL

            pages = str(PREFECT_API_URL.value()).removesuffix("/api")
            kept = f", and ask for what is in {password_file()}" if is_ours and not own_password() else ""
            print(f"plimsoll: Prefect's pages are at {pages}{kept}", file=sys.stderr)
            yield
    finally:
        server.stop()
