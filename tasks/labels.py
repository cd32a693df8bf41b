"""The label of a kind of message that a test offers, `path|srv|kind`, and that of one that it is right to refuse.

An invalid message names its flaw behind its kind, `path|srv|request!unknown-srv`. Only an SRV may have a bar in it.
"""

from tasks.codecs import UNKNOWN_SRV, Flaw


def labelled(path: str, srv: str, kind: str) -> str:
    """The label of a message that is right."""
    return f"{path}|{srv}|{kind}"


def parted(label: str) -> tuple[str, str, str]:
    """Path, SRV and kind out of a label."""
    path, _, rest = label.partition("|")
    srv, _, kind = rest.rpartition("|")
    return path, srv, kind.partition("!")[0]


def flaw_of(label: str) -> Flaw | None:
    """What is wrong with messages of that label; None for those that are right."""
    flaw = label.rpartition("|")[2].partition("!")[2]
    return Flaw(flaw) if flaw else None


def with_flaw(label: str, flaw: Flaw) -> str:
    """The label of the same message with a flaw; an unknown SRV takes the place of its own."""
    path, srv, kind = parted(label)
    return labelled(path, UNKNOWN_SRV if flaw is Flaw.UNKNOWN_SRV else srv, f"{kind}!{flaw}")
