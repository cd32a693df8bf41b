"""Which format a file is in, by its first bytes and by nothing else: a name says what somebody meant."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from catalog.errors import PlimsollError
from catalog.extensions import SHIPPED, ExtensionError, Point, load, names
from tasks.intake.format import Account, Batch, Format, Source, SubmittedError, Sure
from tasks.intake.mapped import Mapped


@cache
def formats() -> tuple[Format, ...]:
    """Every format that can be taken in: those that are shipped, then those that are installed.

    Raises ExtensionError where one that is installed cannot be used: it may be the one that a file is in.
    """
    return tuple(_format(name) for name in names(Point.RESULT_FORMATS))


def _format(name: str) -> Format:
    found = load(Point.RESULT_FORMATS, name)
    made: Format = found() if isinstance(found, type) else found
    if made.name != name:
        raise ExtensionError(
            f"the result format '{name}' calls itself '{made.name}', and evidence names it by the first"
        )
    return made if name in SHIPPED[Point.RESULT_FORMATS] else Installed(made)


class Installed:
    """A format that is installed: whatever it fails with is told as its own failure, and records nothing."""

    def __init__(self, found: Format) -> None:
        self.name = found.name
        self._format = found

    def recognises(self, head: bytes) -> Sure:
        """See `Format`."""
        with self._telling("the first bytes of a file"):
            return Sure(self._format.recognises(head))

    def read(self, source: Source, account: Account) -> Iterator[Batch]:
        """See `Format`."""
        with self._telling(source.name):
            yield from self._format.read(source, account)

    @contextmanager
    def _telling(self, where: str) -> Iterator[None]:
        try:
            yield
        except PlimsollError:
            raise
        except Exception as error:
            told = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ExtensionError(f"the result format '{self.name}' failed on {where}: {told}") from error


def recognise(source: Source) -> Format:
    """The format that is surest of the file; the declared mapping where its submitter declared columns.

    Raises SubmittedError where none is, or several are equally.
    """
    if source.assumptions.columns:
        return Mapped()
    head = source.head()
    if not head:
        raise SubmittedError(f"{source.name}: an empty file holds no results")
    every = formats()
    sure = [(format_.recognises(head), format_) for format_ in every]
    best = max(found for found, _ in sure)
    named = [format_ for found, format_ in sure if found is best]
    if best is Sure.NO or len(named) > 1:
        why = (
            "no format is known that begins so"
            if best is Sure.NO
            else "several formats begin so: " + ", ".join(each.name for each in named)
        )
        known = ", ".join(each.name for each in every)
        raise SubmittedError(f"{source.name}: {why}: {head[:60]!r}",
                             remedy=f"Known are {known}; for another, declare `columns` in the manifest.")  # fmt: skip
    return named[0]
