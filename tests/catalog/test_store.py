"""The evidence store: what is put in comes back, altered or missing objects are named, and nothing is rewritten."""

import hashlib
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import EvidenceError, WorldError
from catalog.store import ObjectStore, copied, parse, write_durably


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects")


@settings(derandomize=True, deadline=None, max_examples=40)
@given(data=st.binary(max_size=3000))
def test_what_is_put_comes_back_under_its_digest(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    store = ObjectStore(tmp_path_factory.getbasetemp() / "shared-objects")
    name = store.put(data)
    assert name == hashlib.sha256(data).hexdigest()
    assert store.get(name) == data
    assert store.intact(name)
    assert name in set(store.digests())


def test_an_object_lies_where_its_digest_says_and_is_read_only(store: ObjectStore) -> None:
    name = store.put(b"plimsoll")
    path = store.root / name[:2] / name[2:]
    assert path == store.path(name)
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert list((store.root / "incoming").iterdir()) == []


def test_a_folder_for_what_is_coming_is_on_the_same_disk_and_gone_thereafter(store: ObjectStore) -> None:
    with store.incoming() as folder:
        (folder / "table").write_bytes(b"rows")
        assert store.get(store.put_file(folder / "table")) == b"rows"
        assert folder.parent == store.root / "incoming"
    assert list((store.root / "incoming").iterdir()) == []


def test_documents_are_stored_in_canonical_form(store: ObjectStore) -> None:
    name = store.put_document({"b": [1, None, True], "a": "é"})
    assert store.get(name) == '{"a":"é","b":[1,null,true]}'.encode()
    assert store.document(name) == {"a": "é", "b": [1, None, True]}
    with pytest.raises(TypeError, match="float"):
        store.put_document({"a": 0.5})


def test_a_large_file_is_copied_under_the_digest_of_its_bytes(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "results.parquet"
    source.write_bytes(bytes(range(256)) * 10_000)
    name = store.put_file(source)
    assert name == hashlib.sha256(source.read_bytes()).hexdigest()
    assert store.get(name) == source.read_bytes()


def test_an_existing_object_is_not_rewritten(store: ObjectStore, tmp_path: Path) -> None:
    name = store.put(b"once")
    before = store.path(name).stat()
    source = tmp_path / "once"
    source.write_bytes(b"once")
    assert store.put(b"once") == store.put_file(source) == name
    after = store.path(name).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_an_altered_object_is_named(store: ObjectStore) -> None:
    name = store.put(b"the truth")
    store.path(name).chmod(0o644)
    store.path(name).write_bytes(b"the trugh")
    assert store.has(name)
    assert not store.intact(name)
    with pytest.raises(EvidenceError, match=f"object {name} is altered"):
        store.get(name)


def test_a_missing_object_is_named(store: ObjectStore) -> None:
    name = "ab" * 32
    assert not store.has(name)
    assert not store.intact(name)
    with pytest.raises(EvidenceError, match=f"object {name} is missing"):
        store.get(name)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "AB" * 32, "ab" * 31, "ab" * 32 + "\n"])
def test_what_is_no_digest_never_becomes_a_path(store: ObjectStore, name: str) -> None:
    with pytest.raises(EvidenceError, match="is no digest"):
        store.get(name)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, "{}".encode("utf-16")])
def test_what_is_no_document_is_said_to_be_none(store: ObjectStore, data: bytes) -> None:
    name = store.put(data)
    with pytest.raises(EvidenceError, match=f"object {name} is not a JSON document"):
        store.document(name)
    with pytest.raises(ValueError):
        parse(data)


def test_a_root_that_cannot_be_made_is_the_environments_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorldError, match="file: File exists") as caught:
        ObjectStore(tmp_path / "file" / "objects").put(b"x")
    assert caught.value.help()


def test_a_file_that_is_not_there_is_the_environments_fault(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="No such file"):
        store.put_file(tmp_path / "nothing")


def test_a_full_disk_leaves_no_object_behind(tmp_path: Path) -> None:
    program = (
        "import resource, sys; from pathlib import Path; from catalog.store import ObjectStore\n"
        "from catalog.errors import WorldError\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))\n"
        "try: ObjectStore(Path(sys.argv[1])).put(b'x' * 5000)\n"
        "except WorldError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "objects")], capture_output=True, text=True, check=True
    )
    assert "File too large" in done.stdout
    assert list(ObjectStore(tmp_path / "objects").digests()) == []
    assert list((tmp_path / "objects" / "incoming").iterdir()) == []


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    write_durably(target, b"old")
    write_durably(target, b"new")
    assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_copy_is_taken_as_it_is_and_an_altered_object_is_not_named_anew(tmp_path: Path) -> None:
    store, source = ObjectStore(tmp_path / "objects"), tmp_path / "source"
    source.write_bytes(b"results")
    for _ in range(2):  # the second time the object is there already
        with store.incoming() as folder:
            copy = copied(source, folder / "copy")
            assert store.adopt(copy) == copy.digest == hashlib.sha256(b"results").hexdigest()
            assert not copy.path.exists()
        assert store.get(copy.digest) == b"results"
    store.path(copy.digest).chmod(0o644)
    store.path(copy.digest).write_bytes(b"other results")
    with store.incoming() as folder, pytest.raises(EvidenceError, match="is altered"):
        store.adopt(copied(source, folder / "copy"))
