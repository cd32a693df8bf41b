"""What somebody is asked: on exactly what, by whom it is answered, how things stand; hostile words stay words."""

import pytest
from deciders import Deciders
from test_submission import report

from catalog.declarations import Holder
from catalog.errors import UsageError
from tasks.question import question

HOSTILE = "a | b\n```\n# <script>alert(1)</script> [x](http://x) \u202e"


@pytest.fixture
def holding(deciders: Deciders):
    """The template's people, of whom Ann holds test assurance and the board, and Lee leads the orders' tests."""

    def hold(**roles: str) -> Deciders:
        governance = deciders.programme.governance
        held = tuple(
            each.model_copy(
                update={"holders": (Holder(name=who, key=deciders.signer(who).fingerprint),)}
                if (who := roles.get(each.id.replace("-", "_")))
                else {}
            )
            for each in governance.roles
        )
        deciders.programme = deciders.programme.model_copy(
            update={"governance": governance.model_copy(update={"roles": held})}
        )
        return deciders

    return hold


def asked(deciders: Deciders, what: str, by: str):
    return question(what, deciders.signer(by).fingerprint, deciders.programme, deciders.workspace)


def test_it_shows_the_report_with_its_digest_and_every_exit_criterion_with_its_facts(holding, runbook):
    deciders = holding(board="Ann")
    recorded = report(deciders, runbook, "pilot")
    found = asked(deciders, "phase:pilot", "Ann")
    assert (found.by, found.roles, found.answers) == ("Ann", ("board",), ("complete", "not-complete"))
    assert found.subject.of == recorded.output("report.json")
    assert f"`{found.subject.of}`" in found.text
    shown = deciders.workspace.store.document(found.subject.of)
    for each in shown["exit_criteria"]:
        (row,) = (line for line in found.text.splitlines() if line.startswith(f"| {each['id']} |"))
        assert f"| {each['state']}" in row
    (proved,) = (line for line in found.text.splitlines() if line.startswith("| all-proved |"))
    assert "observations" in proved


def test_what_was_decided_before_is_told_with_how_it_stands(holding, runbook):
    deciders = holding(board="Ann")
    report(deciders, runbook, "pilot")
    first = deciders.sign("phase:pilot", "board", "Ann", "not-complete", reason=HOSTILE)
    deciders.sign("phase:pilot", "board", "Ann", "complete")
    runbook.withdraw(first.record.digest)
    rows = [line for line in asked(deciders, "phase:pilot", "Ann").text.splitlines() if "| Ann | board |" in line]
    assert [row.split(" | ")[0] for row in rows] == ["| not-complete", "| complete"]
    assert "withdrawn by tester" in rows[0]
    assert "| stands |" in rows[1]
    assert "\\<script\\>" in rows[0]
    assert "⟨U+202E⟩" in rows[0]
    assert "http\\://x" in rows[0]
    assert "\n```\n#" not in "\n".join(rows)


def test_a_run_and_a_plan_show_what_their_digest_is_of_and_no_text_ends_the_code(holding, runbook, edited):
    deciders = holding(test_assurance="Ann", orders_lead="Lee")
    run = runbook.run("pilot.orders.load")
    witness = asked(deciders, f"witness:{run.run}", "Ann")
    assert witness.subject.of == run.record.digest
    assert '"state": "finished"' in witness.text
    deciders.programme = edited(deciders.programme, ("tests.plans.orders-plan.version", HOSTILE))
    plan = asked(deciders, "plan:orders-plan", "Lee")
    assert plan.answers == ("submitted",)
    fences = [line for line in plan.text.splitlines() if line.startswith("```")]
    assert fences == ["```json", "```"]


def test_a_key_in_two_roles_may_answer_in_both_and_one_of_nobody_or_of_two_in_none(holding, runbook):
    deciders = holding(test_assurance="Ann", board="Ann")
    run = runbook.run("pilot.orders.load")
    assert asked(deciders, f"record:{run.record.digest}", "Ann").roles == ("test-assurance",)
    with pytest.raises(UsageError, match="nobody is declared to decide on plan:orders-plan with the key") as refused:
        asked(deciders, "plan:orders-plan", "Eve")
    assert deciders.signer("Eve").fingerprint in refused.value.help()
    assert "plimsoll sign plan:orders-plan" in refused.value.help()
    key = deciders.signer("Ann").fingerprint
    governance = deciders.programme.governance
    two = tuple(
        each.model_copy(update={"holders": (Holder(name="Ann", key=key), Holder(name="Bob", key=key))})
        for each in governance.roles
    )
    deciders.programme = deciders.programme.model_copy(
        update={"governance": governance.model_copy(update={"roles": two})}
    )
    with pytest.raises(UsageError, match="is declared for Ann, Bob"):
        asked(deciders, "requirements:order-house", "Ann")
