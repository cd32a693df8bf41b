"""What a run that a Prefect server started has from there: its workspace, its secrets, and whom it tells of a bad end.

A run of the command line has none of it: there the shell says where the workspace is and holds the secrets.

plimsoll_home      a variable: the workspace of deployments whose parameter `home` is empty, a path or a bucket's URL
plimsoll_secrets   a variable: environment variables by name, each with the name of the Secret block of its value
plimsoll_notify    a variable: the blocks that are told, such as ["slack-webhook/team"], and for SMTP
                   [{"block": "email-server-credentials/post", "to": ["team@example.com"]}], with "from" where
                   the server needs no user
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from prefect import Flow, get_run_logger
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger
from prefect.runtime import deployment
from prefect.variables import Variable

from catalog.errors import UsageError
from flows.progress import Progress, use

HOME, SECRETS, NOTIFY = "plimsoll_home", "plimsoll_secrets", "plimsoll_notify"


def is_deployed() -> bool:
    """Whether this run is one of a deployment."""
    return deployment.id is not None


def settle(home: str) -> str:
    """Before a flow begins: its secrets are in the environment, its progress goes to Prefect's logs; its workspace."""
    if not is_deployed():
        return home or ".plimsoll"
    use(_Logged())
    load_secrets(_variable(SECRETS, {}))
    return home or _variable(HOME, "") or ".plimsoll"


def load_secrets(named: Mapping[str, str]) -> None:
    """Puts the values of Secret blocks into the environment. What is set already stands.

    Raises UsageError, naming the variable and the block, for a block that is not there.
    """
    for name, block in named.items():
        if name not in os.environ:
            try:
                loaded: Any = Secret.load(block)
                value = loaded.get()
            except ValueError as error:
                remedy = f"Make the block, or correct the variable {SECRETS}."
                raise UsageError(
                    f"{SECRETS} takes {name} from the Secret block {block!r}: {error}", remedy=remedy
                ) from None
            os.environ[name] = str(value)


def patience() -> Callable[[str], object] | None:
    """How this run waits for what another has: one that Prefect started waits and says so; a person's is refused."""
    return _log if is_deployed() else None


def notify(flow: "Flow[Any, Any]", flow_run: FlowRun, state: State[Any]) -> None:
    """Tells everybody whom `plimsoll_notify` names how a run ended; a block that fails is logged, and the next told."""
    subject = f"{flow.name}/{flow_run.name}: {state.name}"
    body = f"{state.message or state.name}\n\nFlow run {flow_run.id}, parameters {flow_run.parameters}"
    for each in _variable(NOTIFY, []):
        try:
            _tell(each, subject, body)
        except Exception as error:  # noqa: BLE001 - of any block; what it is about matters more
            get_logger("plimsoll").error("%s could not be told: %s", each, error)


def _tell(named: str | Mapping[str, Any], subject: str, body: str) -> None:
    if isinstance(named, str):
        block: Any = Block.load(named)
        block.notify(body, subject)
        return
    from email.message import EmailMessage

    message = EmailMessage()
    server: Any = Block.load(named["block"])
    message["Subject"], message["To"] = subject, ", ".join(named["to"])
    message["From"] = named.get("from") or server.username
    message.set_content(body)
    with server.get_server() as post:
        post.send_message(message)


HOOKS: dict[str, Any] = {"on_failure": [notify], "on_crashed": [notify], "on_cancellation": [notify]}
"""What every flow that is deployed has."""


def _variable(name: str, default: Any) -> Any:
    return Variable.get(name, default)


class _Logged(Progress):
    """Progress as lines of Prefect's log."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def say(self, text: str) -> None:
        """One line."""
        _log(text)


def _log(text: str) -> None:
    try:
        get_run_logger().info(text)
    except MissingContextError:
        get_logger("plimsoll").info(text)
