"""What is odd about a submission beside its own rows: its size, its age, and how far it is what was planned.

Each is a finding; nothing is mended or refused because of it.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from catalog.ledger import Kind
from catalog.shown import shown
from tasks.intake.format import Finding
from tasks.intake.manifest import as_json
from tasks.intake.staging import Staged
from tasks.intake.submitted import digest_of

if TYPE_CHECKING:
    from tasks.intake.receive import Intake, Submission


def circumstances(intake: "Intake", submission: "Submission", run: Mapping[str, Any], samples: int) -> list[Finding]:
    """Every oddity of a submission. `run`: the run document made of it; `samples`: how many messages it holds."""
    found = _below_plan(intake, samples if submission.raw else told_requests(submission), run["received"]["in_time"])
    found += _older(intake, submission, run)
    found += _submitted_twice(intake, submission)
    found += _not_as_planned(intake)
    if any(each.format.name == "mapped" for each in submission.staged):
        found.append(Finding(code="declared-columns", message="read by columns that its submitter declared"))
    return found


def appended(staged: Staged) -> list[Finding]:
    """Runs that a tool appended to the same file, each with a header of its own."""
    headers = staged.account.headers
    if not staged.samples or headers < 2:
        return []
    message = f"{staged.source.name}: {headers} headers: as many runs, one appended to the other"
    return [Finding(code="appended", message=message)]


def told_requests(submission: "Submission") -> int | None:
    """How many requests summaries say that there were, the first that says so of all together."""
    figures = (figure for each in submission.summaries for figure in each.figures)
    return next((each.value for each in figures if (each.scope, each.metric) == ("all", "requests")), None)


def _below_plan(intake: "Intake", offered: int | None, in_time: Mapping[str, Any]) -> list[Finding]:
    target, most, planned = intake.planned.messages, in_time["most"], shown(in_time["planned_us"], "us")
    if offered is not None and offered < target:
        message = f"{offered:,} messages where {target:,} were planned"
    elif most is None:
        message = f"nothing tells in which time they were sent: whether the load planned for {planned} was is not known"
    elif most < target:
        message = f"at most {most:,} messages were sent within {planned}, where {target:,} were planned"
    else:
        return []
    return [Finding(code="load-below-plan", message=message)]


def _older(intake: "Intake", submission: "Submission", run: Mapping[str, Any]) -> list[Finding]:
    """Whether the results were there before the plan was recorded, or anything else of its occasion."""
    occasion = intake.planned.occasion
    mine = [each for each in intake.recorder.workspace.ledger.records() if each.parameters.get("occasion") == occasion]
    first = next((each for each in mine if each.stage == "plan"), mine[0] if mine else None)
    if first is None or not (submission.raw or intake.manifest.window):
        when = "when the results were made" if first else f"when {occasion} was planned"
        message = f"nothing tells {when}: whether the results are older than the plan is not known"
        return [Finding(code="age-not-known", message=message)]
    end = run["start_us"] + run["window_us"]
    if end >= _us(first.time):
        return []
    at = datetime.fromtimestamp(end // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    what = f"{occasion} was planned" if first.stage == "plan" else f"anything of {occasion} was recorded"
    return [Finding(code="older-than-plan", message=f"the results end at {at}, before {what} ({first.time})")]


def _submitted_twice(intake: "Intake", submission: "Submission") -> list[Finding]:
    """Files that were received before, by what is in them: packing one anew makes it no other."""
    workspace = intake.recorder.workspace
    names = {digest_of(file): file.name for file in submission.files}
    names |= {digest_of(each.source.path): each.source.name for each in submission.staged}
    found = []
    for record in workspace.select(Kind.RECEIVED):
        name = record.output("account") or ""
        if not workspace.store.intact(name):
            continue
        account = workspace.store.document(name)
        known = {each["digest"] for each in [*account["files"], *account["read"]] if "digest" in each}
        test = record.parameters["test"]
        said = "for this test before, with another manifest" if test == intake.planned.test else f"for {test} too"
        found += [
            Finding(code="submitted-twice", message=f"{name} was received {said} ({record})")
            for name in dict.fromkeys(names[each] for each in names if each in known)
        ]
    return found


def _not_as_planned(intake: "Intake") -> list[Finding]:
    """What the manifest states of components and the environment, against the plan; what it leaves out is told too."""
    stated, planned = as_json(intake.manifest), intake.planned.key["inputs"]
    environment = {name: planned["environment"][name] for name in ("id", "kind", "size")}
    parts = list(_parts("environment", environment, stated["environment"]))
    for name, each in planned["components"].items():
        parts += _parts(f"component {name}", each, stated["components"].get(name, {}))
    found = [
        Finding(code="not-as-planned", message=f"{what}: {now} was planned, {then} is stated")
        for what, now, then in parts
        if then and then != now
    ]
    unstated = [what for what, _, then in parts if not then]
    if unstated:
        message = f"whether these were as planned is not stated: {', '.join(unstated)}"
        found.append(Finding(code="not-stated", message=message))
    return found


def _parts(what: str, planned: Mapping[str, Any], stated: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, planned and stated value of whatever the plan declares."""
    for name, value in planned.items():
        if isinstance(value, Mapping):
            yield from _parts(f"{what} {name}", value, stated.get(name, {}))
        elif value not in ("", "unstated", None):
            yield f"{what} {name}", str(value), str(stated.get(name, "") or "")


def _us(time: str) -> int:
    return int(datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp() * 1_000_000)
