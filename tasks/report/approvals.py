"""The report's section on what people decided: plans, discharge, witnesses, assurances, the board, signatures."""

from collections.abc import Iterator, Sequence

from catalog.decisions import FLOW_RUN, Decision
from catalog.declarations import Matter, TestPlan
from expectations.exit_criteria import exclusions_in_force, plans_in_force
from expectations.governance import (
    assurances_in_force,
    declared_document,
    discharge_document,
    plan_state,
    providers_planned,
    requirements_document,
    requirements_of,
)
from tasks.report.context import Context
from tasks.report.sheets import Cell, Sheet, attached, newest_each, reference, sheet, signed, words


def approvals(context: Context) -> list[Sheet]:
    """What was planned, signed off, discharged, witnessed, assured and decided, and every signature."""
    plans = plans_in_force(context.programme, context.facts["phase"])
    made = [
        _plans(context, plans),
        _discharged(context),
        _requirements(context, plans),
        _witnessed(context),
        _assurances(context),
        _accepted(context),
        _board(context),
        _signatures(context),
    ]
    return [sheet for sheet in made if sheet["rows"]]


def evidence(context: Context) -> Iterator[tuple[str, str]]:
    """What every digest is that these sections name."""
    for decision in context.people.decisions:
        name = f"{decision.matter} {decision.subject}"
        yield f"the record of the decision {decision.decision} on {name}", decision.record
        yield f"what was decided on: {name}", decision.of
        yield f"attached to the decision on {name}: {decision.file_name}", decision.file
    for incident in context.facts.get("incidents", []):
        told = incident["document"]
        yield f"the incident of {told['run']}, {told['requirement']}", incident["digest"]


def _plans(context: Context, plans: Sequence[TestPlan]) -> Sheet:
    rows: list[list[Cell]] = []
    for plan in plans:
        state = plan_state(context.programme, plan, context.people)
        note = f"An earlier form of it was {words(state.earlier.decision)}." if state.earlier else ""
        if state.late:
            note += f" A run began before it was signed off: {', '.join(state.late)}."
        title = f"{plan.id}, version {plan.version}"
        rows.append(
            [title, plan.provider, signed(state.submitted), signed(state.reviewed), signed(state.ended), note.strip()]
        )
    note = (
        "Each service provider submits its plan; it is reviewed and signed off before its tests begin. A decision "
        "counts for the plan and the conduct of its tests as they are declared now."
    )
    headings = ("Test plan", "Provider", "Submitted", "Reviewed", "Signed off", "Note")
    return sheet("plans", "Test plans", note, headings, rows)


def _discharged(context: Context) -> Sheet:
    rows: list[list[Cell]] = []
    for fact in context.people.tests:
        about = context.people.about(Matter.DISCHARGE, fact.test)
        now = context.people.of(Matter.DISCHARGE, fact.test, discharge_document(context.programme, fact))
        note = now.reason if now else "Decided on an earlier result." if about else ""
        rows.append([fact.test, fact.plan, fact.end, signed(now), note])
    note = "Whether each planned test was discharged, as its result stands now."
    return sheet("discharge", "Discharge of plans", note, ("Test", "Plan", "Ended", "Discharge", "Note"), rows)


def _requirements(context: Context, plans: Sequence[TestPlan]) -> Sheet:
    rows: list[list[Cell]] = []
    for provider in providers_planned(plans):
        count = len(requirements_of(context.programme, provider))
        decided = context.people.of(Matter.REQUIREMENTS, provider, requirements_document(context.programme, provider))
        rows.append([provider, context.declared(f"requirements/{provider}", count, "count"), signed(decided)])
    note = "Assurance that the requirements which a provider's components are held to are suitable."
    headings = ("Provider", "Requirements", "Suitability")
    return sheet("suitability", "Suitability of requirements", note, headings, rows, numbers=("Requirements",))


def _witnessed(context: Context) -> Sheet:
    rows: list[list[Cell]] = [
        [run, signed(decision), decision.reason, attached(decision)]
        for fact in context.people.tests
        for run in fact.runs
        for decision in context.people.about(Matter.WITNESS, run)
    ]
    note = "Test runs that somebody witnessed. Runs without a row have no witness record."
    return sheet("witness", "Witness records", note, ("Run", "Witness", "What was noted", "Document"), rows)


def _assurances(context: Context) -> Sheet:
    rows: list[list[Cell]] = []
    for each in assurances_in_force(context.programme, context.facts["phase"]):
        decided = context.people.of(Matter.ASSURANCE, each.id, declared_document(each))
        stated = f"{each.obligation} Owner: {each.owner}. {each.source}"
        rows.append([each.title, each.given_by, stated, each.standing.value, signed(decided), attached(decided)])
    note = "What others are obliged to state, because it is not tested here."
    headings = ("Assurance", "Given by", "Obligation", "Standing", "Given", "Document")
    return sheet("assurances", "Assurance statements", note, headings, rows)


def _accepted(context: Context) -> Sheet:
    rows: list[list[Cell]] = []
    for each in exclusions_in_force(context.programme, context.facts["phase"]):
        decided = context.people.of(Matter.EXCLUSION, each.id, declared_document(each))
        if decided:
            rows.append([each.title, each.residual_risk, each.monitoring, each.owner, signed(decided)])
    note = "Residual risks that somebody decided on. Every exclusion stands under scope and residual risks."
    headings = ("Not tested", "Residual risk", "Monitoring during ramp-up", "Owner", "Decision")
    return sheet("risks", "Residual risks decided on", note, headings, rows)


def _board(context: Context) -> Sheet:
    phase = context.facts["phase"]
    decided = [
        *((f"Criterion {each.subject.partition('/')[2]}", each) for each in newest_each(context, Matter.CRITERION)),
        *((f"Phase {each.subject}", each) for each in newest_each(context, Matter.PHASE)),
    ]
    rows: list[list[Cell]] = [
        [what, signed(each), each.reason, reference("report", each.of)]
        for what, each in decided
        if each.subject.partition("/")[0] == phase
    ]
    note = "What the board decided, each on the report that is named; this report may be a later one."
    return sheet("board", "Decisions of the board", note, ("On", "Decision", "Reason", "On the report"), rows)


def _signatures(context: Context) -> Sheet:
    rows: list[list[Cell]] = [
        [
            f"{each.matter}:{each.subject}",
            words(each.decision),
            f"{each.by}, in Prefect" if FLOW_RUN in each.details else each.by,
            each.role,
            each.time,
            each.key[:16],
            reference(f"record {each.sequence}", each.record),
            reference("decided on", each.of),
            _validity(context, each),
        ]
        for each in context.people.decisions
        if each.key
    ]
    note = "Every decision, oldest first, with the key that signed it. Verifying the evidence checks each signature."
    headings = ("Matter", "Decision", "By", "Role", "Signed", "Key", "Record", "Of", "Standing")
    return sheet("signatures", "Signatures", note, headings, rows)


def _validity(context: Context, decision: Decision) -> str:
    if decision.withdrawn:
        return decision.withdrawn
    if decision.has_expired(context.people.at):
        return f"expired on {decision.until}"
    return f"until {decision.until}" if decision.until else "in force"
