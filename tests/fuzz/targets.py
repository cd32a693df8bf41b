"""What the fuzzer feeds bytes to: readers of results, recognition, archives, DuckDB against line by line, and the rest.

The rest, declarations and evidence among it, is in evidence_targets.py.

A target returns where the bytes were read or clearly refused. Anything else it raises is a fault of a reader.
"""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks/intake"))

import evidence_targets
from files import SAMPLES, survives, taken
from seeds import SEEDS, stated

from tasks.intake.archives import unpacked
from tasks.intake.format import Bulk, SubmittedError
from tasks.intake.recognise import formats

_LARGEST = 20_000
KNOWN = {each.name: each for each in formats()}
FAMILIES = {
    "jmeter": ("jmeter-csv", "jmeter-xml", "jmeter-statistics"),
    "k6": ("k6-csv", "k6-json", "k6-summary"),
    "gatling": ("gatling-text", "gatling-binary", "gatling-statistics"),
    "locust": ("locust",),
    "vegeta": ("vegeta-gob", "vegeta-json", "vegeta-csv", "vegeta-report"),
    "wrk": ("wrk",),
    "histograms": ("hdr-log", "hdr-percentiles"),
    "prometheus": ("prometheus-range", "prometheus-text"),
    "sysstat": ("sadf", "sadf-json", "sar"),
    "vmstat": ("vmstat",),
    "nmon": ("nmon",),
    "cloudwatch": ("cloudwatch-json", "cloudwatch-csv"),
    "mapped": ("mapped",),
    "small": ("h2load", "hey", "ab-requests", "ab-percentiles", "autocannon", "siege", "artillery"),
}
"""Formats that are fed the same bytes."""


def _family(names: tuple[str, ...]) -> Callable[[bytes], None]:
    def feed(data: bytes) -> None:
        for name in names:
            KNOWN[name].recognises(data)
            assert survives(data, KNOWN[name], **stated(name)), name

    return feed


def recognise(data: bytes) -> None:
    """No format may fail to say whether bytes are its own."""
    for each in formats():
        each.recognises(data)


def bulk(data: bytes) -> None:
    """By DuckDB, with all that follows it, of the format that is surest."""
    format_ = max(formats(), key=lambda each: each.recognises(data))
    if isinstance(format_, Bulk) and format_.recognises(data):
        with contextlib.suppress(SubmittedError):
            taken(data, format_)


def archives(data: bytes) -> None:
    """What is unpacked stays within its folder, and is named by a path that does too."""
    with TemporaryDirectory() as folder:
        file, inside = Path(folder) / "submitted", Path(folder) / "inside"
        file.write_bytes(data)
        inside.mkdir()
        with contextlib.suppress(SubmittedError):
            for name, path in unpacked(file, inside):
                assert path == file or path.parent == inside
                assert not name.startswith("/")
                assert ".." not in Path(name).parts
        assert sorted(Path(folder).iterdir()) == [inside, file]


TARGETS: dict[str, Callable[[bytes], None]] = {
    **{family: _family(names) for family, names in FAMILIES.items()},
    "recognise": recognise,
    "bulk": bulk,
    "archives": archives,
    **evidence_targets.TARGETS,
}


def purpose(target: str) -> str:
    """What a target is fed, in words."""
    if target in FAMILIES:
        return ", ".join(FAMILIES[target])
    return (TARGETS[target].__doc__ or "").split("\n")[0]


def seeds(target: str) -> list[bytes]:
    """What a target's corpus begins with."""
    import gzip
    import io
    import zipfile

    if target in evidence_targets.TARGETS:
        return evidence_targets.seeds(target)
    if target == "archives":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/results.jtl", SEEDS["jmeter-csv"])
            archive.writestr("b.csv", b"a" * 5000)
        import cramjam

        zstd = bytes(cramjam.zstd.compress(SEEDS["k6-csv"] * 20))
        return [gzip.compress(SEEDS["k6-csv"]), gzip.compress(b"") * 3, packed.getvalue(), zstd]
    if target == "bulk":
        return [SEEDS[name] for name, each in KNOWN.items() if isinstance(each, Bulk)]
    if target == "mapped":
        return [SEEDS["mapped"], _parquet()]
    if target == "recognise":
        return list(SEEDS.values())
    written = [file.read_bytes() for file in sorted(SAMPLES.iterdir()) if file.stat().st_size < _LARGEST]
    unfolded = [gzip.decompress(each)[:_LARGEST] if each[:2] == b"\x1f\x8b" else each for each in written]
    own = [KNOWN[name] for name in FAMILIES[target]]
    real = [each for each in unfolded if any(format_.recognises(each) for format_ in own)]
    return [*(SEEDS[name] for name in FAMILIES[target]), *real]


def _parquet() -> bytes:
    """The table of the mapped seed, as Parquet."""
    import duckdb

    with TemporaryDirectory() as folder:
        file = Path(folder) / "seed.parquet"
        duckdb.sql(
            "SELECT 1795480000000 + range AS \"timeStamp\", 12 AS elapsed, 'a' AS label FROM range(5)"
        ).write_parquet(str(file))
        return file.read_bytes()
