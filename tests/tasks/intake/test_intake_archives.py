"""Archives unfold into what was packed, or are refused: damaged, endless, or with paths that lead out of them."""

import gzip
import io
import os
import subprocess
import sys
import zipfile

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.intake import archives
from tasks.intake.archives import unpacked
from tasks.intake.format import SubmittedError


def zipped(data):
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("run/results.jtl", data)
    return kept.getvalue()


PACKED = {"gz": gzip.compress, "zst": lambda data: zstandard.ZstdCompressor(level=3).compress(data), "zip": zipped}
each_kind = pytest.mark.parametrize("kind", sorted(PACKED))


def unfolded(folder, data, name="results.jtl"):
    """Names and bytes of what is in an archive."""
    file, target = folder / name, folder / "unpacked"
    file.write_bytes(data)
    target.mkdir(exist_ok=True)
    return [(each, path.read_bytes()) for each, path in unpacked(file, target)]


@each_kind
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=200), times=st.sampled_from([1, 1, 40_000]))
def test_what_was_packed_comes_out(kind, data, times, tmp_path_factory):
    whole = (data * times)[: 5 << 20] if times == 1 or len(data) < 100 else data
    ((name, found),) = unfolded(tmp_path_factory.mktemp("archive"), PACKED[kind](whole), f"results.jtl.{kind}")
    assert name == ("run/results.jtl" if kind == "zip" else "results.jtl")
    assert found == whole


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_parts_packed_one_after_the_other_are_one_file(kind, tmp_path):
    parts = [os.urandom(100_000), b"", b"b" * 70_000]
    ((_, found),) = unfolded(tmp_path, b"".join(map(PACKED[kind], parts)))
    assert found == b"".join(parts)


@each_kind
def test_an_archive_cut_short_or_damaged_is_refused_by_name(kind, tmp_path):
    whole = PACKED[kind](os.urandom(300_000))
    for cut in (5, len(whole) // 2, len(whole) - 1):
        with pytest.raises(SubmittedError, match=r"results\.jtl: cannot be unpacked"):
            unfolded(tmp_path, whole[:cut])


@each_kind
def test_what_unfolds_into_far_more_than_a_result_does_is_refused(kind, tmp_path):
    with pytest.raises(SubmittedError, match="unfolds into more than"):
        unfolded(tmp_path, PACKED[kind](bytes(80 << 20)))


@each_kind
def test_a_file_that_is_larger_than_any_result_is_refused(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST", 1_000_000)
    assert unfolded(tmp_path, PACKED[kind](os.urandom(1_000_000)))
    with pytest.raises(SubmittedError, match="unfolds into more than"):
        unfolded(tmp_path, PACKED[kind](os.urandom(1_000_001)))


BOMB = """
import resource, sys
from pathlib import Path
from tasks.intake.archives import unpacked
from tasks.intake.format import SubmittedError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    unpacked(Path(sys.argv[1]), Path(sys.argv[2]))
except SubmittedError:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@each_kind
def test_what_unfolds_without_end_is_not_held_in_memory(kind, tmp_path):
    file = tmp_path / "bomb"
    file.write_bytes(PACKED[kind](bytes(600 << 20)))
    found = subprocess.run([sys.executable, "-c", BOMB, file, tmp_path], check=True, capture_output=True, text=True)
    assert int(found.stdout) < 200


@pytest.mark.parametrize("path", ["../results.jtl", "/results.jtl", "a/../../b", "C:\\results.jtl", "..\\results.jtl"])
def test_a_path_that_leads_out_of_an_archive_is_refused(path, tmp_path):
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:
        archive.writestr(path, b"x")
    with pytest.raises(SubmittedError, match="leads out of the archive"):
        unfolded(tmp_path, kept.getvalue())


def test_too_many_files_and_encrypted_ones_are_refused(tmp_path):
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:
        for number in range(archives.MOST_FILES + 1):
            archive.writestr(f"{number}", b"")
    with pytest.raises(SubmittedError, match="1001 files, at most 1000"):
        unfolded(tmp_path, kept.getvalue())
    secret = bytearray(zipped(b"x"))
    secret[6] |= 1  # the flag of the local header, and of the directory's entry
    secret[secret.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(SubmittedError, match="is encrypted"):
        unfolded(tmp_path, bytes(secret))
