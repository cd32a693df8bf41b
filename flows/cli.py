"""The command line: `plimsoll COMMAND …`. Parses, hands over, and turns errors into messages and exit statuses.

Importing is cheap: argparse rather than a richer library, because `--help` has 0.3 s, and whatever a command needs is
imported by that command.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from pathlib import Path

from catalog.errors import PlimsollError, Status
from flows.interrupt import heed
from flows.remote import at_hand, place
from flows.streams import Streams

CATALOG = Path(__file__).resolve().parent.parent / "catalog" / "smets1"
"""The shipped programme, read where neither `--catalog` nor the environment names another."""

_INTERRUPTED = 130
"""How a command ends that Ctrl-C ended: 128 and the signal's number, as shells have it."""

_EPILOG = """\
exit status: 0 all observations proved; 1 something not proved or inconclusive; 2 the declaration or the submitted data
is at fault; 3 the environment is (system under test, Prefect, disk); 4 the evidence is (tampered, missing, torn)"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status. Data goes to stdout, progress and messages to stderr.

    Without `arguments` it is the whole process, whose streams and second Ctrl-C it takes care of.
    """
    if arguments is not None:
        return _command_status(arguments)
    streams = Streams()
    heed()
    try:
        status = _command_status(sys.argv[1:])
    except SystemExit as ended:  # argparse's, after help or a word that it does not know
        status = ended.code if isinstance(ended.code, int) else 1
    lost = streams.lost()
    if not lost:
        return status
    _say(f"plimsoll: the answer could not be written to standard output: {lost}")
    streams.lost()
    return max(status, int(Status.ENVIRONMENT))


def _command_status(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    room, name = options.handler
    try:
        handler: Callable[[argparse.Namespace], Status] = getattr(import_module(room), name)
        with at_hand(options):
            return int(handler(options))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, _leave)
        _say("plimsoll: interrupted; what was recorded stands, and the same command goes on from there")
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001  # nobody is shown a traceback, nor told status 1 for what was not judged
        from flows.unexpected import told

        found = told(error)
        _complain(found, as_json=getattr(options, "json", False))
        return int(found.status)


def _leave(_number: int, _frame: object) -> None:
    """Ends at once: whoever presses Ctrl-C again waits for nothing more. Our processes end with this one."""
    os._exit(_INTERRUPTED)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _complain(error: PlimsollError, *, as_json: bool) -> None:
    if as_json:
        from flows.show import print_json

        print_json({"error": str(error), "help": error.help(), "status": int(error.status)})
    _say(f"plimsoll: {error}")
    if error.help():
        _say(f"  {error.help()}")


def parser() -> argparse.ArgumentParser:
    """What the command line takes: the one declaration of every command."""
    parser = argparse.ArgumentParser(
        prog="plimsoll",
        description="Proves how much load a system of many providers can carry, and keeps the evidence.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"plimsoll {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _declaring(commands)
    _running(commands)
    _serving(commands)
    _reporting(commands)
    _outside(commands)
    _deciding(commands)
    _explaining(commands)
    _exporting(commands)
    _checking(commands)
    _vouching(commands)
    return parser


def _declaring(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    init = _command(commands, "init", "flows.answers:init", "write a new programme to edit, that `check` accepts")
    init.add_argument("folder", metavar="DIR", type=Path, help="an empty or new folder")
    init.add_argument(
        "--example", metavar="NAME", default="", help="an example in place of the template: web tests a real system"
    )
    check = _command(commands, "check", "flows.answers:check", "read the catalogue and report every fault")
    _catalog(check)
    _json(check)
    volumes = _command(commands, "volumes", "flows.volumes:volumes", "show the volume model of a phase")
    _phase(volumes)
    _catalog(volumes)
    _home(volumes)
    volumes.add_argument(
        "--compare",
        metavar="PHASE|DATE",
        default="",
        help="what changed, and why, from another phase, or from this one as recorded in --home by a day (2020-06-30)",
    )
    volumes.add_argument(
        "--out", metavar="DIR", type=Path, help="write every table (CSV, Markdown, Parquet) and figure (SVG) there"
    )
    volumes.add_argument(
        "--table", metavar="NAME", default="", help="only this table, in full, such as a3, hours or sensitivity"
    )
    _json(volumes)
    extensions = _command(
        commands,
        "extensions",
        "flows.answers:extensions",
        "list what installed distributions add, and what is wrong with it",
    )
    _json(extensions)
    plan = _command(
        commands, "plan", "flows.decisions:plan", "say what would be executed, what relied on, and why; changes nothing"
    )
    _phase(plan)
    _world(plan)
    _json(plan)


def _running(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = _command(commands, "run", "flows.run:run", "run a capability phase, to its completion report")
    _phase(run)
    _world(run)
    run.add_argument(
        "--types",
        metavar="LIST",
        default="",
        help="only tests of these types, as load,stress; the report lists the rest",
    )
    run.add_argument(
        "--tests",
        metavar="PATTERN",
        default="",
        help="only tests with these names, as launch.orders.* or '*.load,*.soak'; the report lists the rest",
    )
    run.add_argument(
        "--again", metavar="TEST", action="append", default=[], help="execute this test anew (with --reason)"
    )
    run.add_argument("--reason", default="", help="why a test is executed anew; recorded and reported")
    run.add_argument(
        "--sample-reliance",
        metavar="SHARE[:SEED]",
        default="",
        help="execute a random share of the tests that may rest on earlier evidence all the same, such as 0.2, and "
        "report how often relying would have been wrong",
    )
    _cluster(run)
    _json(run)
    regression = _command(
        commands, "regression", "flows.run:regress", "execute the declared regression, and hold it against those before"
    )
    _world(regression)
    regression.add_argument(
        "--which",
        metavar="ID",
        default="",
        help="another regression that programme.yaml declares, such as final (default: the scheduled one)",
    )
    regression.add_argument(
        "--occasion", metavar="NAME", default="", help="what it is counted within; regression-<today, UTC> unless given"
    )
    _cluster(regression)
    _json(regression)


def _serving(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    serve = _command(
        commands,
        "serve",
        "flows.serve:serve",
        "serve every deployment of prefect.yaml from this machine, with their schedules, until interrupted",
    )
    _catalog(serve)
    _home(serve)
    _environment(serve)
    serve.add_argument(
        "--inbox",
        metavar="DIR",
        type=Path,
        default=Path("inbox"),
        help="the drop folder of submissions (default: inbox)",
    )
    serve.add_argument(
        "--port",
        type=_whole(1, 65_535),
        default=4200,
        help="where Prefect's pages are, where no server is configured (default: 4200)",
    )


def _reporting(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    report = _command(
        commands,
        "report",
        "flows.run:report",
        "assemble a phase's completion report again, or compare two phases or runs",
    )
    report.add_argument("phase", metavar="PHASE", nargs="?", default="", help="a capability phase, such as launch")
    report.add_argument(
        "--format",
        choices=("html", "json", "pdf", "docx"),
        default="html",
        help="a copy in this format, beside the page that is recorded (default: the page itself)",
    )
    report.add_argument("--out", metavar="FILE", type=Path, help="where to write it, in place of the reports' folder")
    report.add_argument(
        "--compare",
        metavar=("A", "B"),
        nargs=2,
        help="two reported phases or two runs side by side: what changed, and whether it matters",
    )
    _world(report)
    _json(report)


def _outside(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    intake = _command(
        commands, "intake", "flows.intake:intake", "take in a service provider's own results for a planned test"
    )
    intake.add_argument(
        "files", metavar="FILE", type=Path, nargs="+", help="what the tool wrote; archives are unpacked"
    )
    intake.add_argument("--test", metavar="TEST", default="", help="the planned test, such as launch.orders.load")
    intake.add_argument(
        "--manifest", metavar="FILE", type=Path, help="what the files do not say: who, versions, environment, units"
    )
    intake.add_argument(
        "--compare",
        metavar="REPORT",
        type=Path,
        action="append",
        default=[],
        help="the tool's own report, to be shown beside ours with the reason where they differ",
    )
    _world(intake)
    _scheduler(intake, "its workers read the files")
    _json(intake)
    emulate = _command(
        commands, "emulate", "flows.emulate:emulate", "stand up the emulated system by itself, until interrupted"
    )
    _phase(emulate)
    _catalog(emulate)
    _environment(emulate)
    emulate.add_argument(
        "--receive", metavar="URL", default="", help="where responses to acknowledged requests go: http://host:port"
    )
    _json(emulate)


def _deciding(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    sign = _command(
        commands,
        "sign",
        "flows.governance:sign",
        "sign a decision: on a plan, a discharged test, a witnessed run, requirements, an assurance, an audit, a phase",
    )
    sign.add_argument(
        "what", metavar="MATTER:SUBJECT", help="such as plan:orders-plan, discharge:launch.orders.load or phase:launch"
    )
    sign.add_argument(
        "--decision", metavar="D", default="", help="such as signed-off; without it, those that there are"
    )
    _signing(sign)
    sign.add_argument("--file", metavar="FILE", type=Path, help="a document to attach: a report, a statement, minutes")
    sign.add_argument("--dated", metavar="DATE", default="", help="the day it was decided on, where that is not today")
    sign.add_argument("--until", metavar="DATE", default="", help="the last day that it holds")
    _environment(sign)
    _json(sign)

    _issues(commands)
    submission = _command(
        commands,
        "submission",
        "flows.governance:submission",
        "write one pack of all phases to submit: reports, exit criteria, decisions, issues, audit, attached documents",
    )
    submission.add_argument(
        "--out", metavar="PATH", type=Path, required=True, help="a new folder, or a file that ends in .zip"
    )
    _home(submission)
    _json(submission)


def _issues(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    issue = commands.add_parser(
        "issue",
        help="raise, rate, close, reopen and list testing issues",
        description="Raises, rates, closes, reopens and lists testing issues. Each change is signed and recorded.",
    )
    events = issue.add_subparsers(metavar="EVENT", required=True)
    raised = _command(events, "raise", "flows.governance:raise_issue", "raise a testing issue by hand")
    _phase(raised)
    raised.add_argument("--title", required=True, help="what is wrong, in a line")
    raised.add_argument("--severity", metavar="N", type=int, default=0, help="1, the gravest, to 5 (default: not yet)")
    raised.add_argument("--test", metavar="TEST", default="", help="the planned test that it was found in")
    raised.add_argument("--run", metavar="RUN", default="", help="the run that it was found in")
    _signing(raised)
    _json(raised)
    for name, event, purpose in (
        ("change", "changed", "give an issue another severity or title"),
        ("close", "closed", "close an issue, for a reason"),
        ("reopen", "reopened", "open a closed issue again, for a reason"),
    ):
        changed = _command(events, name, "flows.governance:change_issue", purpose)
        changed.set_defaults(event=event)
        changed.add_argument("issue", metavar="ISSUE", help="such as launch-issue-1")
        if event == "changed":
            changed.add_argument("--severity", metavar="N", type=int, default=0, help="1, the gravest, to 5")
            changed.add_argument("--title", default="", help="what is wrong, in a line")
        _signing(changed)
        _json(changed)
    listed = _command(events, "list", "flows.governance:list_issues", "list testing issues")
    listed.add_argument("phase", metavar="PHASE", nargs="?", default="", help="of this phase (default: of all)")
    listed.add_argument("--open", action="store_true", help="only those that are open")
    _home(listed)
    _json(listed)


def _signing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--as", dest="role", metavar="ROLE", required=True, help="a role in governance.yaml")
    parser.add_argument("--by", metavar="NAME", required=True, help="who decides")
    parser.add_argument("--reason", default="", help="why; recorded and reported")
    parser.add_argument(
        "--key", metavar="FILE", type=Path, help="the private key to sign with (default: $PLIMSOLL_KEY, else one's own)"
    )
    _catalog(parser)
    _home(parser)


def _explaining(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    explain = _command(
        commands,
        "explain",
        "flows.decisions:explain",
        "say why a test was executed or relied on: what was compared, what changed at the root, what that affects",
    )
    explain.add_argument(
        "test", metavar="TEST|PHASE", help="a planned test, such as launch.orders.load, or every test of a phase"
    )
    _world(explain)
    _json(explain)
    withdraw = _command(
        commands,
        "withdraw",
        "flows.audit:withdraw",
        "withdraw a test run or another record; whatever rests on it shows so",
    )
    withdraw.add_argument(
        "name",
        metavar="RUN|RECORD",
        help="a run's id, such as launch/launch.orders.load/1, or a record's sequence or digest",
    )
    withdraw.add_argument("--reason", default="", help="why; recorded and reported")
    _home(withdraw)
    _json(withdraw)


def _exporting(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    export = _command(
        commands, "export", "flows.audit:export", "write one bundle for the auditor: report, evidence, ledger, lineage"
    )
    _phase(export)
    export.add_argument(
        "--as",
        dest="form",
        metavar="FORM",
        choices=("bundle", "openlineage", "prov", "ro-crate", "in-toto"),
        default="bundle",
        help="bundle (the default), or the lineage in a standard's form: openlineage, prov, ro-crate, in-toto",
    )
    where = export.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", metavar="FILE", type=Path, help="the file to write: a bundle is a zip file")
    where.add_argument("--to", metavar="URL", help="the OpenLineage server to send to, such as http://localhost:5000")
    _home(export)
    _json(export)


def _checking(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verify = _command(
        commands,
        "verify",
        "flows.answers:verify",
        "check a workspace or bundle, offline: digests, chain, signatures, every figure's evidence",
    )
    _checked(verify)
    verify.add_argument(
        "--proof", metavar="FILE", type=Path, help="hold this answer of `prove` against --head, and nothing else"
    )
    _home(verify)
    _json(verify)
    reperform = _command(
        commands,
        "reperform",
        "flows.audit:reperform",
        "compute every pure stage again from what is recorded, and compare it byte for byte",
    )
    reperform.add_argument(
        "path", metavar="PATH", type=place, nargs="?", help="a workspace or bundle (default: --home)"
    )
    reperform.add_argument(
        "--only", metavar="STAGE", action="append", default=[], help="only this stage, such as measure; may be repeated"
    )
    reperform.add_argument(
        "--record",
        metavar="SEQUENCE",
        action="append",
        type=int,
        default=[],
        help="only this record, such as 41; may be repeated",
    )
    reperform.add_argument(
        "--sample",
        metavar="SHARE",
        default="1",
        help="a random share of the records, such as 0.1 (SHARE:SEED: as then)",
    )
    _home(reperform)
    _json(reperform)
    lineage = _command(
        commands, "lineage", "flows.answers:lineage", "show what a figure or artefact rests on, or what rests on it"
    )
    lineage.add_argument(
        "subject",
        metavar="FIGURE|ARTEFACT",
        help="a figure's id in a report, a run's id, a record's sequence, or at least 8 characters of a digest",
    )
    direction = lineage.add_mutually_exclusive_group()
    direction.add_argument("--up", action="store_true", help="what it rests on (this is what happens without)")
    direction.add_argument("--down", action="store_true", help="what rests on it")
    lineage.add_argument("--phase", help="the report to look the figure up in (default: whichever has it)")
    _home(lineage)
    _json(lineage)


def _vouching(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    prove = _command(
        commands, "prove", "flows.trust:prove", "prove one record, or that a saved head still stands, without the rest"
    )
    prove.add_argument(
        "record", metavar="RECORD", nargs="?", default="", help="a record's sequence or digest, or a run's id"
    )
    prove.add_argument(
        "--head", metavar="FILE|HEAD", help="the saved head that it is proved of (default: the newest), or from"
    )
    _home(prove)
    keys = _command(commands, "keys", "flows.trust:keys", "show the keys that sign, replace one's own, or revoke one")
    keys.add_argument("action", choices=("list", "rotate", "revoke"), nargs="?", default="list", help="what to do")
    keys.add_argument("key", metavar="KEY", nargs="?", default="", help="the key to revoke, by its fingerprint")
    keys.add_argument(
        "--to", metavar="FILE", type=Path, help="the file of the private key that takes the place of one's own"
    )
    keys.add_argument("--reason", default="", help="why a key is revoked; recorded")
    keys.add_argument(
        "--since",
        metavar="RECORD|DAY",
        default="",
        help="the key was in wrong hands: nothing counts that it signed since this record, or the first of this day",
    )
    _home(keys)
    _json(keys)
    countersign = _command(
        commands, "countersign", "flows.trust:countersign", "sign, as an auditor, the head of a ledger that holds"
    )
    _checked(countersign)
    countersign.add_argument("--out", metavar="FILE", type=Path, help="where the auditor keeps the countersignature")
    countersign.add_argument(
        "--record", metavar="FILE", type=Path, help="record an auditor's countersignature in --home"
    )
    _home(countersign)
    _json(countersign)
    anchor = _command(
        commands, "anchor", "flows.trust:anchor", "anchor the ledger's head in time, by an authority's word (RFC 3161)"
    )
    anchor.add_argument("--request", metavar="FILE", type=Path, help="write a request for the authority there")
    anchor.add_argument("--response", metavar="FILE", type=Path, help="record what the authority answered")
    _authorities(anchor)
    _home(anchor)
    _json(anchor)


def _checked(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", type=place, nargs="?", help="a workspace or bundle (default: --home)")
    parser.add_argument(
        "--head", metavar="FILE|HEAD", help="a head saved elsewhere, or a file with it: it must be one of this ledger"
    )
    parser.add_argument(
        "--key",
        metavar="FILE|KEY",
        action="append",
        default=[],
        help="a public key that you were given: every report must be signed by one of these",
    )
    _authorities(parser)


def _authorities(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tsa",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="certificates (PEM) of time-stamping authorities that you trust",
    )


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, handler: str, purpose: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
    parser.set_defaults(handler=handler.split(":"))
    return parser


def _phase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("phase", metavar="PHASE", help="a capability phase, such as launch")


def _catalog(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--catalog",
        metavar="DIR",
        type=Path,
        default=usual_catalog(),
        help="the programme's folder (default: $PLIMSOLL_CATALOG, else the shipped SMETS1 programme)",
    )


def usual_catalog() -> Path:
    """The programme that commands read where `--catalog` names none."""
    return Path(os.environ.get("PLIMSOLL_CATALOG") or CATALOG)


def _home(parser: argparse.ArgumentParser) -> None:
    default = place(os.environ.get("PLIMSOLL_HOME", ".plimsoll"))
    parser.add_argument(
        "--home",
        metavar="DIR",
        type=place,
        default=default,
        help="the workspace, or s3://bucket/folder (default: $PLIMSOLL_HOME, else .plimsoll)",
    )


def _environment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--environment", metavar="ID", default="", help="where to execute (default: the programme's own)"
    )


def _world(parser: argparse.ArgumentParser) -> None:
    _catalog(parser)
    _home(parser)
    _environment(parser)


def _scheduler(parser: argparse.ArgumentParser, purpose: str) -> None:
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        default=os.environ.get("PLIMSOLL_CLUSTER", ""),
        help=f"a Dask scheduler, tcp://host:8786: {purpose} (default: $PLIMSOLL_CLUSTER)",
    )


def _cluster(parser: argparse.ArgumentParser) -> None:
    _scheduler(parser, "its workers offer the load and measure")
    parser.add_argument(
        "--shards",
        metavar="N",
        type=_whole(0, 999_999),
        default=0,
        help="in how many parts a load is offered (default: one a worker)",
    )


def _whole(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number within these bounds; argparse tells a person what is wrong with another."""

    def number(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, found {text[:20]!r}")

    return number


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="answer as JSON")


def _version() -> str:
    try:
        return metadata.version("plimsoll")
    except metadata.PackageNotFoundError:
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
