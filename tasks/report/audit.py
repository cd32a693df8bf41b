"""The report's section on the independent audit, and the conduct of testing clause by clause for the auditor."""

from collections.abc import Iterator

from catalog.declarations import AUDIT_REPORTED, AuditDue, Bearing, Clause, Matter, Shown
from expectations.exit_criteria import numbers_in_use
from expectations.governance import audit_of, audit_report, declared_document
from tasks.breaches import is_infrastructure
from tasks.report.context import Context, Row
from tasks.report.figures import Figure, Parts
from tasks.report.sheets import NONE, Cell, Sheet, attached, newest_of, sentence, sheet, signed


def audit(context: Context) -> list[Sheet]:
    """The audit as it stands, and the conduct clause by clause for the auditor to complete."""
    made = [_audit(context), _conformance(context)]
    return [sheet for sheet in made if sheet["rows"]]


def _audit(context: Context) -> Sheet:
    phase = context.facts["phase"]
    declared = audit_of(context.programme, phase)
    if declared is None:
        return sheet("audit", "Independent audit", "", (), [])
    about = context.people.about(Matter.AUDIT, phase)
    reported = audit_report(context.people, phase)
    due = (
        "To follow as soon as practicable after this report, which is then reissued"
        if declared.report is AuditDue.TO_FOLLOW
        else "Due in this report"
    )
    opinion: Cell = signed(reported) if reported else "to follow" if declared.report is AuditDue.TO_FOLLOW else NONE
    rows: list[list[Cell]] = [
        ["Appointment of the auditor", "", signed(newest_of(about, {"appointed"})), ""],
        [
            "Scope of the audit",
            f"{declared.covers} Left out: {declared.leaves_out}",
            signed(newest_of(about, {"scope-agreed"})),
            "",
        ],
        ["Audit report", due + ".", opinion, attached(reported)],
    ]
    note = f"{declared.source} ({declared.standing})."
    return sheet("audit", "Independent audit", note, ("Part", "Declared", "Recorded", "Document"), rows)


def _conformance(context: Context) -> Sheet:
    phase = context.facts["phase"]
    rows: list[list[Cell]] = []
    for clause in context.programme.governance.clauses:
        about = context.people.about(Matter.CLAUSE, f"{phase}/{clause.id}")
        decided = about[-1] if about else None
        rows.append(
            [
                f"{clause.id} {clause.title}",
                f"{clause.obligation} ({clause.source}; {clause.standing})",
                list(_shown(context, clause)),
                signed(decided) if decided else "for the auditor to complete",
                decided.reason if decided else "",
            ]
        )
    note = (
        "What the evidence shows of each clause of the approach document; the auditor concludes and signs "
        f"each conclusion as clause:{phase}/CLAUSE."
    )
    headings = ("Clause", "Obligation", "What the evidence shows", "Auditor's conclusion", "Remark")
    return sheet("conformance", "Conduct against the approach document, clause by clause", note, headings, rows)


def _shown(context: Context, clause: Clause) -> Iterator[str | Figure]:
    for position, bearing in enumerate(clause.evidence):
        if position:
            yield " "
        yield from _bearing(context, f"clause/{clause.id}/{position}", bearing)


def _bearing(context: Context, name: str, bearing: Bearing) -> Parts:
    match bearing.shown:
        case Shown.RELIANCE:
            return _of_reliance(context, name)
        case Shown.SCOPE:
            return [_of_scope(context, bearing.name or "")]
        case Shown.TESTS:
            return _of_tests(context, name, bearing.name or "")
        case Shown.ASSURANCE:
            return [_of_assurance(context, bearing.name or "")]
        case Shown.AUDIT:
            return [_of_audit(context)]
        case Shown.INFRASTRUCTURE:
            return _of_infrastructure(context, name)
        case Shown.VOLUMES:
            return [f"The volume model of {context.facts['phase']} with its tables stands under volume model."]
        case Shown.ASSUMPTIONS:
            return _of_numbers(context, name)


def _of_reliance(context: Context, name: str) -> Parts:
    rule = context.programme.programme.reliance
    in_force = f"scope {rule.scope}, volumes {rule.volumes}; every input compared stands under reliance"
    relied = sum(test["end"] == "relied" for test in context.tests)
    return [
        context.planned(f"{name}/relied", relied),
        " of ",
        context.planned(f"{name}/planned", len(context.tests)),
        f" planned tests rest on evidence of an earlier phase; in force: {in_force}.",
    ]


def _of_scope(context: Context, entry: str) -> str:
    scope = context.programme.scope
    for included in scope.included:
        if included.id == entry:
            return f"In scope: {included.title}. {included.tested_by}."
    found = next(each for each in scope.exclusions if each.id == entry)
    return (
        f"Not tested: {found.title}. Assured elsewhere: {found.assured_elsewhere} Residual risk: {found.residual_risk}"
    )


def _of_tests(context: Context, name: str, kind: str) -> Parts:
    mine = [test for test in context.tests if test["type"] == kind]
    ended = [test for test in mine if test["end"] in ("executed", "relied", "received")]
    tested = ", ".join(dict.fromkeys(test["component"] for test in mine)) or "none"
    return [
        context.planned(f"{name}/ended", len(ended)),
        " of ",
        context.planned(f"{name}/planned", len(mine)),
        f" planned {kind} tests ended with a result, of the components {tested}.",
    ]


def _of_assurance(context: Context, name: str) -> str:
    found = next(each for each in context.programme.governance.assurances if each.id == name)
    decided = context.people.of(Matter.ASSURANCE, name, declared_document(found))
    if decided is None:
        return f"{found.title}: {NONE}."
    return f"{found.title}: {sentence(decided)}."


def _of_audit(context: Context) -> str:
    about = context.people.about(Matter.AUDIT, context.facts["phase"])
    parts = (("Appointment", {"appointed"}), ("scope", {"scope-agreed"}), ("report", AUDIT_REPORTED))
    found = [(what, newest_of(about, decisions)) for what, decisions in parts]
    return "; ".join(f"{what}: {sentence(each) if each else NONE}" for what, each in found) + "."


def _of_infrastructure(context: Context, name: str) -> Parts:
    rows: list[Row] = [row for row in context.observations if is_infrastructure(str(row["metric"]))]
    counts = context.verdicts(name, rows)
    return [
        counts["all"],
        " observations of infrastructure requirements: ",
        counts["proved"],
        " proved, ",
        counts["not_proved"],
        " not proved, ",
        counts["inconclusive"],
        " inconclusive; ",
        context.planned(f"{name}/incidents", len(context.facts.get("incidents", []))),
        " incidents recorded.",
    ]


def _of_numbers(context: Context, name: str) -> Parts:
    numbers = numbers_in_use(context.programme, context.facts["phase"])
    agreed = sum(number.standing == "agreed" for number in numbers)
    return [
        "Of ",
        context.declared(f"{name}/numbers", len(numbers), "count"),
        " declared numbers in use, ",
        context.declared(f"{name}/agreed", agreed, "count"),
        " are agreed.",
    ]
