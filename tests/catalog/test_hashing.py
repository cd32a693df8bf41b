"""Hashing many files: every digest in its place, whatever their sizes, and what cannot be read says so."""

import hashlib
import random
from pathlib import Path

from catalog.hashing import Hashed, hash_files


def test_every_file_has_its_own_digest_in_the_order_asked_for(tmp_path: Path) -> None:
    chance = random.Random(3)  # noqa: S311 - bytes to hash, not secrets
    contents = [chance.randbytes(size) for size in (0, 1, 5_000_000, 1 << 20, 70, 2_000_001, *range(300))]
    files = [tmp_path / str(number) for number in range(len(contents))]
    for file, data in zip(files, contents, strict=True):
        file.write_bytes(data)
    told: list[tuple[int, int]] = []
    found = hash_files(files, lambda done, total: told.append((done, total)))
    assert found == [Hashed(digest=hashlib.sha256(data).hexdigest(), size=len(data)) for data in contents]
    total = sum(map(len, contents))
    assert told[-1] == (total, total)
    assert told == sorted(told)


def test_a_file_that_cannot_be_read_says_why_and_the_others_are_hashed(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    missing, folder, there = hash_files([tmp_path / "none", tmp_path / "folder", tmp_path / "there"], lambda *_: None)
    assert isinstance(missing.error, FileNotFoundError)
    assert isinstance(folder.error, IsADirectoryError)
    assert there == Hashed(digest=hashlib.sha256(b"x").hexdigest(), size=1)
    assert hash_files([], lambda *_: None) == []
