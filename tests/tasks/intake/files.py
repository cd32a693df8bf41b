"""What the tests of readers share: a file of bytes read as the product reads it, and the rows that came of it."""

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from tasks.intake.format import Account, Assumptions, Figures, Readings, Samples, Source, SubmittedError
from tasks.intake.recognise import recognise
from tasks.intake.staging import samples_of, stage

SAMPLES = Path(__file__).parent / "samples"
NAMES = ("label", "intended_us", "sent_us", "done_us", "status", "outcome", "bytes", "threads")


def taken(data, format_=None, **assumptions):
    """Format, rows of `NAMES`, account and figures of a file of these bytes, through DuckDB where the product does."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "submitted"
        file.write_bytes(data)
        source = Source(path=file, name="submitted", assumptions=Assumptions(**assumptions))
        work = Path(folder) / "work"
        work.mkdir()
        staged = stage(format_ or recognise(source), source, work)
        rows = []
        if staged.samples:
            rows = duckdb.sql(samples_of(staged.samples)).select(*NAMES).fetchall()
        return staged.format, rows, staged.account, staged.figures


def read(data, format_, **assumptions):
    """What a reader gives line by line: samples as rows of `NAMES`, readings, figures, and the account."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "submitted"
        file.write_bytes(data)
        account = Account()
        source = Source(path=file, name="submitted", assumptions=Assumptions(**assumptions))
        samples, readings, figures = [], [], []
        for batch in format_.read(source, account):
            match batch:
                case Samples():
                    columns = [getattr(batch, name) for name in NAMES]
                    samples += [tuple(None if v == -1 else v for v in row) for row in zip(*columns, strict=True)]
                case Readings():
                    columns = (batch.at_us, batch.host, batch.sub_component, batch.metric, batch.value, batch.unit)
                    readings += list(zip(*columns, strict=True))
                case Figures():
                    figures += batch.rows
        return samples, readings, figures, account


def adds_up(account):
    """Whether every line is accounted for, and the account can be recorded."""
    json.dumps(account.as_json())
    return account.accounted == account.total


def survives(data, format_, **assumptions):
    """Whether a reader ends with an account that adds up, or a clear error; anything else is raised."""
    try:
        *_, account = read(data, format_, **assumptions)
    except SubmittedError as error:
        return bool(str(error))
    return adds_up(account)


def multiset(rows):
    return Counter(rows)
