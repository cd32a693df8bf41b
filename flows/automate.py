"""`python -m flows.automate BLOCK`: creates the automations of automations.yaml on the Prefect server.

`BLOCK`: the notification block that they tell, as its type and name, such as slack-webhook/team. Automations of the
same names are replaced, so that it may be run again after a change.
"""

import sys
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent.parent / "automations.yaml"
PLACE = "NOTIFY"
"""What stands in the file where the block's id belongs, which every server makes anew."""


def main(arguments: list[str]) -> int:
    """The command; its exit status."""
    if len(arguments) != 1 or "/" not in arguments[0]:
        print(f"{__doc__ or ''}", file=sys.stderr)
        return 2
    for name in create(arguments[0]):
        print(f"created  {name}")
    return 0


def create(block: str) -> list[str]:
    """Creates every automation anew; returns their names. Raises ValueError where there is no such block."""
    from prefect.blocks.core import Block
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore

    found: Any = Block.load(block)
    declared = [AutomationCore.model_validate(each) for each in definitions(str(found._block_document_id))]  # noqa: SLF001 - Prefect tells the id nowhere else
    with get_client(sync_client=True) as client:
        there: Any = client.read_automations()
        for old in there:
            if old.name in {each.name for each in declared}:
                client.delete_automation(old.id)
        for each in declared:
            client.create_automation(each)
    return [each.name for each in declared]


def definitions(block_document_id: str) -> list[dict[str, Any]]:
    """The automations of the file, which tell that block."""
    import yaml

    text = FILE.read_text(encoding="utf-8").replace(
        f"block_document_id: {PLACE}", f"block_document_id: {block_document_id}"
    )
    found: list[dict[str, Any]] = yaml.safe_load(text)["automations"]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
