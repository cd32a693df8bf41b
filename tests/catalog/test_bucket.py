"""A workspace on a bucket, on a real S3-compatible server: one chain whoever writes, nothing promised too soon."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.bucket import Bucket, attached, download, pull, pull_objects, working_copy
from catalog.errors import EvidenceError, PlimsollError, UsageError, WorldError
from catalog.inspection.page import publish_page
from catalog.ledger import Actor, Draft, Kind, Reference
from catalog.store import ObjectStore
from catalog.verification import Verification, verify
from catalog.workspace import Workspace

ROOT = Path(__file__).parents[2]
ACTOR = Actor(name="tester")

APPENDER = """
import sys
from pathlib import Path
from catalog.ledger import Actor, Draft, Kind
from catalog.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]))
for turn in range(int(sys.argv[3])):
    drafts = [Draft(kind=Kind.DERIVED, stage=sys.argv[2], parameters={"turn": turn, "item": item}) for item in range(2)]
    for record in workspace.record(*drafts, actor=Actor(name="a"), code="1"):
        print(record.digest, flush=True)
"""


def quiet(_done: int, _total: int) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def server(bucket_server: dict[str, str]) -> Iterator[dict[str, str]]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in bucket_server.items():
            patch.setenv(name, value)
        yield bucket_server


@pytest.fixture
def bucket(server: dict[str, str], request: pytest.FixtureRequest) -> Bucket:
    return Bucket(f"s3://evidence/{request.node.name}")


def copy_of(bucket: Bucket, cache: Path) -> Workspace:
    """A working copy, brought up to date, as a command would."""
    home = working_copy(bucket, cache)
    pull(bucket, home, quiet)
    return Workspace.open(home, create=True)


def put(workspace: Workspace, text: str) -> str:
    """Records an artefact; returns the record's digest."""
    name = workspace.store.put(text.encode())
    output = (Reference(role="text", digest=name),)
    draft = Draft(kind=Kind.DERIVED, stage="write", key=name, outputs=output, parameters={"occasion": "ioc"})
    return workspace.record(draft, actor=ACTOR, code="1")[0].digest


def verified(bucket: Bucket, folder: Path) -> Verification:
    """What verifying the bucket's own bytes finds."""
    download(bucket, folder, quiet)
    return verify(folder)


def test_another_host_fetches_the_objects_that_it_needs_and_no_others(bucket: Bucket, tmp_path: Path) -> None:
    here = copy_of(bucket, tmp_path / "here")
    for text in ("one", "two"):
        put(here, text)
    one, two = (record.outputs[0].digest for record in here.ledger.records())
    there = tmp_path / "there"
    pull_objects(bucket, there, [one, one])
    store = ObjectStore(there / "objects")
    assert store.get(one) == b"one"
    assert not store.has(two)
    bucket.remove(f"objects/{two[:2]}/{two[2:]}")
    pull_objects(bucket, there, [one])
    with pytest.raises(WorldError, match="does not exist"):
        pull_objects(bucket, there, [one, two])


def test_what_is_recorded_here_is_read_elsewhere_and_verifies(bucket: Bucket, tmp_path: Path) -> None:
    here = copy_of(bucket, tmp_path / "here")
    written = [put(here, "one"), put(here, "two")]
    there = copy_of(bucket, tmp_path / "there")
    assert [record.digest for record in there.ledger.records()] == written
    assert there.store.get(there.ledger.records()[1].outputs[0].digest) == b"two"
    assert there.matching(there.ledger.records()[0].key or "", "ioc")
    outcome = verified(bucket, tmp_path / "fresh")
    assert (outcome.faults, outcome.records, outcome.objects) == ([], 2, 2)
    assert sorted(bucket.names("ledger/")) == ["ledger/000000000001.jsonl", "ledger/000000000002.jsonl"]


def test_a_writer_that_has_not_read_the_newest_goes_on_behind_it(bucket: Bucket, tmp_path: Path) -> None:
    left, right = copy_of(bucket, tmp_path / "left"), copy_of(bucket, tmp_path / "right")
    written = [put(left, "1"), put(right, "2"), put(right, "3"), put(left, "4")]
    for workspace in (left, copy_of(bucket, tmp_path / "third")):
        assert [record.digest for record in workspace.ledger.records()] == written
    assert verified(bucket, tmp_path / "fresh").ok


def test_two_processes_with_working_copies_of_their_own_write_one_chain(
    bucket: Bucket, tmp_path: Path, server: dict[str, str]
) -> None:
    homes = [copy_of(bucket, tmp_path / name).home for name in ("left", "right")]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(home), home.parent.name, "8"],
            stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **server},
        )
        for home in homes
    ]  # fmt: skip
    promised = [line for child in children for line in child.communicate()[0].split()]
    assert [child.returncode for child in children] == [0, 0]
    outcome = verified(bucket, tmp_path / "fresh")
    assert (outcome.faults, outcome.records) == ([], 32)
    records = copy_of(bucket, tmp_path / "third").ledger.records()
    assert sorted(record.digest for record in records) == sorted(promised)


def test_an_answer_that_was_lost_does_not_record_twice(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = copy_of(bucket, tmp_path)
    put(workspace, "one")
    create = Bucket.create

    def lost(self: Bucket, name: str, data: bytes) -> bool:
        """The object is made, the answer does not come, and the client asks again."""
        return create(self, name, data) and create(self, name, data)

    monkeypatch.setattr(Bucket, "create", lost)
    put(workspace, "two")
    monkeypatch.undo()
    assert verified(bucket, tmp_path / "fresh").records == 2


def test_a_server_that_overwrites_is_refused_before_anything_is_recorded(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(self: Bucket, name: str, data: bytes) -> bool:
        self.replace(name, data)
        return True

    monkeypatch.setattr(Bucket, "create", careless)
    workspace = copy_of(bucket, tmp_path)
    with pytest.raises(WorldError, match="overwrites what is there"):
        put(workspace, "one")
    assert list(bucket.names()) == ["plimsoll.json"]


def test_a_batch_that_reached_the_bucket_and_not_the_disk_is_recorded(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = copy_of(bucket, tmp_path / "cache")

    def full(path: Path, _data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("catalog.bucket.write_durably", full)
    with pytest.raises(WorldError, match="No space left"):
        put(workspace, "one")
    monkeypatch.undo()
    assert [record.stage for record in copy_of(bucket, tmp_path / "cache").ledger.records()] == ["write"]
    assert put(copy_of(bucket, tmp_path / "cache"), "two")
    assert verified(bucket, tmp_path / "fresh").records == 2


def test_an_altered_object_and_a_lost_batch_are_found(bucket: Bucket, tmp_path: Path) -> None:
    workspace = copy_of(bucket, tmp_path / "here")
    put(workspace, "one")
    put(workspace, "two")
    [name, _] = bucket.names("objects/")
    bucket.replace(name, b"else")
    with pytest.raises(EvidenceError, match=f"{name} is altered"):
        copy_of(bucket, tmp_path / "there")
    assert [fault.where for fault in verified(bucket, tmp_path / "fresh").faults] == [name]
    bucket.remove("ledger/000000000002.jsonl")
    with pytest.raises(EvidenceError, match="has not all records that it had"):
        copy_of(bucket, tmp_path / "here")


def test_a_second_run_is_refused_on_whichever_machine(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = copy_of(bucket, tmp_path / "here"), copy_of(bucket, tmp_path / "there")
    with here.lock(), pytest.raises(WorldError, match=f"process {os.getpid()} on ") as refused, there.lock():
        pass
    assert f"remove {bucket.url}/run.lock" in refused.value.help()
    with there.lock():
        assert "run.lock" in bucket.names()
    assert "run.lock" not in bucket.names()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    bucket.create("run.lock", json.dumps({"host": socket.gethostname(), "pid": gone.pid}).encode())
    with there.lock():
        pass
    bucket.create("run.lock", b"nonsense")
    with pytest.raises(WorldError, match="process None on unknown"), there.lock():
        pass


def test_reports_are_published_in_the_bucket(bucket: Bucket, tmp_path: Path) -> None:
    workspace = copy_of(bucket, tmp_path / "here")
    figure = {"figure": "p99", "evidence": [put(workspace, "measured")]}
    outputs = {"report.json": json.dumps(figure).encode(), "report.html": b"<p>1</p>"}
    references = tuple(Reference(role=role, digest=workspace.store.put(data)) for role, data in outputs.items())
    draft = Draft(kind=Kind.REPORTED, stage="report", outputs=references, parameters={"phase": "ioc"})
    [reported] = workspace.record(draft, actor=ACTOR, code="1")
    workspace.publish(reported)
    page = publish_page(workspace, reported)
    assert bucket.read("reports/ioc/report.html") == b"<p>1</p>"
    assert bucket.read("reports/ioc/lineage.html") == page.read_bytes()
    assert (copy_of(bucket, tmp_path / "there").reports / "ioc" / "report.json").read_bytes() == outputs["report.json"]
    outcome = verified(bucket, tmp_path / "fresh")
    assert outcome.faults == []


@pytest.mark.parametrize("name", ["../outside", "objects//x", "a\\b", "x/./y"])
def test_a_name_that_no_workspace_has_is_refused(bucket: Bucket, tmp_path: Path, name: str) -> None:
    class Strange(Bucket):
        def names(self, _folder: str = "") -> dict[str, int]:
            return {name: 1}

    with pytest.raises(EvidenceError, match="that no workspace has"):
        download(Strange(bucket.url), tmp_path / "fresh", quiet)
    assert not (tmp_path / "fresh").exists()


def test_a_working_copy_knows_its_bucket(tmp_path: Path) -> None:
    home = working_copy(Bucket("s3://evidence/a/"), tmp_path)
    bucket = attached(home)
    assert bucket is not None
    assert bucket.url == "s3://evidence/a"
    assert working_copy(Bucket("s3://evidence/b"), tmp_path) != home
    assert attached(tmp_path) is attached(tmp_path / "none") is None


@pytest.mark.parametrize("url", ["gs://evidence/a", "s3:///a", "s3://evidence/a?x=1", "http://evidence/a"])
def test_what_is_no_bucket_that_is_kept_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no bucket that a workspace can be on"):
        Bucket(url)


def test_credentials_in_a_buckets_name_are_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="holds credentials") as refused:
        Bucket("s3://AKIA1:s3cret@evidence/a")
    assert "s3cret" not in f"{refused.value} {refused.value.help()}"


@pytest.mark.parametrize(
    ("url", "changed", "said"),
    [
        ("s3://nowhere/a", {}, "The specified bucket does not exist"),
        ("s3://evidence/a", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect to the endpoint"),
        (
            "s3://evidence/a",
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"},
            "Unable to locate credentials",
        ),
    ],
)
def test_a_bucket_that_cannot_be_used_says_why_and_what_to_do(
    server: dict[str, str], url: str, changed: dict[str, str], said: str
) -> None:
    program = (
        "import sys; from catalog.bucket import Bucket; from catalog.errors import WorldError\n"
        "try: Bucket(sys.argv[1]).names()\nexcept WorldError as error: print(error, '|', error.help())\n"
    )
    environ = {name: value for name, value in {**os.environ, **server, **changed}.items() if value}
    done = subprocess.run(
        [sys.executable, "-c", program, url], capture_output=True, text=True, check=False, cwd=ROOT, env=environ
    )
    problem, _, remedy = done.stdout.partition("|")
    assert said in problem, done.stderr
    assert url in problem
    assert "AWS_ACCESS_KEY_ID" in remedy or "Make the bucket" in remedy


def test_without_s3fs_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UsageError) as refused:
        Bucket("s3://evidence/a").names()
    assert "plimsoll[s3]" in refused.value.help()
    assert isinstance(refused.value, PlimsollError)
