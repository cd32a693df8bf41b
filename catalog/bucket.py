"""A workspace on a bucket: the evidence stands in the bucket, and a working copy of it on this machine's disk.

plimsoll.json, objects/, ledger/, reports/   as in a workspace on disk; each batch of records is a file of its own
run.lock                                     there while a run goes on: who has the workspace

1. What is promised stands in the bucket: a batch's artefacts first, then the batch, then the copy on this disk.
2. A batch is created only if there is none of its name (`If-None-Match: *`). Its name is the sequence of its first
   record, so of two writers that have read the same chain one is refused, reads on, and appends behind the other.
3. A bucket that does not keep that condition is refused before anything is recorded in it.
4. Working copies can be deleted at any time: what they had that the bucket has not was never promised. Only what a run
   has written before its end (`catalog.underway`) and the index are nowhere else.

Nothing here is imported from s3fs until a bucket is used.
"""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from catalog.canonical import canonical, digest
from catalog.errors import EvidenceError, PlimsollError, UsageError, WorldError
from catalog.ledger import FILE_NAME, Actor, Draft, Ledger, Record
from catalog.store import ObjectStore, disk, is_digest, make_directory, parse, write_durably

MARK = ".bucket.json"
"""The file of a working copy that says which bucket it is of."""

FORMAT_FILE = "plimsoll.json"
_LOCK = "run.lock"
_AT_ONCE = 8  # transfers; each is a connection
_PATIENCE = {"connect_timeout": 10, "retries": {"mode": "standard", "max_attempts": 3}}
_CREDENTIALS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and AWS_ENDPOINT_URL for a server other than AWS."
)


class Bucket:
    """The folder of a bucket that `url` (`s3://bucket/folder`) names. Names are relative to it, with slashes.

    Every method raises WorldError where the bucket cannot be reached, is not there, or refuses; UsageError where
    s3fs is not installed.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if "@" in parts.netloc:
            raise UsageError("the URL of the workspace's bucket holds credentials", remedy=_CREDENTIALS)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise UsageError(f"{url} is no bucket that a workspace can be on", remedy="Name it as s3://bucket/folder.")
        self.url = url.rstrip("/")
        self._root = f"{parts.netloc}/{parts.path.strip('/')}".rstrip("/")

    @cached_property
    def _files(self) -> Any:
        try:
            import s3fs
        except ImportError as error:
            remedy = "Install it, for example with `pip install 'plimsoll[s3]'`."
            raise UsageError(f"{self.url} needs s3fs, which is not installed", remedy=remedy) from error
        return s3fs.S3FileSystem(use_listings_cache=False, config_kwargs=_PATIENCE)

    def names(self, folder: str = "") -> dict[str, int]:
        """Every object under `folder`, with its size in bytes."""
        with self._reached():
            found = self._files.find(f"{self._root}/{folder}".rstrip("/"), detail=True)
        return {path.removeprefix(f"{self._root}/"): int(about["size"]) for path, about in sorted(found.items())}

    def read(self, name: str) -> bytes | None:
        """The bytes of an object; None where there is none."""
        with self._reached():
            try:
                return bytes(self._files.cat_file(f"{self._root}/{name}"))
            except FileNotFoundError:
                return None

    def create(self, name: str, data: bytes) -> bool:
        """Makes an object only if there is none of that name; whether it was made."""
        with self._reached():
            try:
                self._files.pipe_file(f"{self._root}/{name}", data, mode="create")
            except FileExistsError:
                return False
            return True

    def replace(self, name: str, data: bytes) -> None:
        """Makes an object, or replaces it whole."""
        with self._reached():
            self._files.pipe_file(f"{self._root}/{name}", data)

    def remove(self, name: str) -> None:
        """Removes an object."""
        with self._reached():
            self._files.rm_file(f"{self._root}/{name}")

    def send(self, files: Mapping[str, Path]) -> None:
        """Stores files under names that say what is in them: one that is there already is left alone."""

        def put(name: str) -> None:
            with suppress(FileExistsError):
                self._files.put_file(str(files[name]), f"{self._root}/{name}", mode="create")

        self._each(put, files)

    def fetch(self, targets: Mapping[str, Path]) -> Iterator[str]:
        """Copies objects to files, several at a time, in folders made for them; gives each name that is there now."""

        def get(name: str) -> None:
            self._files.get_file(f"{self._root}/{name}", str(targets[name]))

        for folder in {target.parent for target in targets.values()}:
            with disk(folder):
                folder.mkdir(parents=True, exist_ok=True)
        names = list(targets)
        for start in range(0, len(names), _AT_ONCE):
            self._each(get, names[start : start + _AT_ONCE])
            yield from names[start : start + _AT_ONCE]

    def _each(self, work: Callable[[str], None], names: Iterable[str]) -> None:
        with self._reached():
            _ = self._files  # made once, before there are threads
            with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
                for _ in pool.map(work, names):
                    pass

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Turns whatever goes wrong between here and the bucket into an error that says what to do."""
        try:
            yield
        except PlimsollError:
            raise
        except OSError as error:
            raise self._refused(error) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp"):
                raise self._refused(error) from error
            raise

    def _refused(self, error: Exception) -> WorldError:
        match error:
            case OSError(filename=str(name)):  # a file here: errors of the server name none
                remedy = "Check free space, permissions and quota of that file system, then run the command again."
                return WorldError(f"{name}: {error.strerror}", remedy=remedy)
            case FileNotFoundError():
                return WorldError(f"{self.url}: {error}", remedy="Make the bucket, or correct its name.")
            case PermissionError():
                return WorldError(f"{self.url} refuses: {error}", remedy=_CREDENTIALS)
            case _:
                remedy = f"{_CREDENTIALS} What is recorded stands, and the same command goes on."
                return WorldError(f"{self.url} cannot be used: {error}", remedy=remedy)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the bucket for one run. Raises WorldError, naming who holds it, when one does.

        What a killed process of this machine holds is let go; whether another machine's still runs cannot be known.
        """
        mine = {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat("T", "seconds")}
        while not self.create(_LOCK, canonical(mine)):
            held = self._holder()
            if held and (held.get("host") != mine["host"] or _is_alive(held.get("pid"))):
                holder = f"process {held.get('pid')} on {held.get('host')}, since {held.get('since')}"
                remedy = (
                    "Wait until it has ended; a run can be started again at any time. "
                    f"If it was killed or its machine is gone, remove {self.url}/{_LOCK}."
                )
                raise WorldError(f"another run has the workspace {self.url}: {holder}", remedy=remedy)
            if held:
                self.remove(_LOCK)
        try:
            yield
        finally:
            with suppress(WorldError):  # the next run of this machine lets it go
                self.remove(_LOCK)

    def _holder(self) -> dict[str, Any]:
        """What the lock says; nothing when it was let go meanwhile."""
        data = self.read(_LOCK)
        if data is None:
            return {}
        try:
            held = parse(data)
        except ValueError:
            held = None
        return held if isinstance(held, dict) and held else {"host": "unknown"}


def _is_alive(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0 or pid == os.getpid():
        return pid == os.getpid()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


class BucketLedger(Ledger):
    """The ledger of a working copy. A batch is promised once the bucket has it."""

    def __init__(self, root: Path, bucket: Bucket, store: ObjectStore) -> None:
        super().__init__(root)
        self._bucket, self._store = bucket, store
        self._sent: set[str] | None = None

    def append(self, drafts: Sequence[Draft], *, actor: Actor, code: str) -> list[Record]:
        """As a ledger on disk; and whatever the drafts name is in the bucket before they are."""
        with self._mutex, disk(self.root), self._exclusive():
            self._refresh()
            self._send(drafts)
            while batch := self._compose(drafts, actor, code):
                name = f"{len(self._records) + 1:012d}.jsonl"
                data = b"".join(line + b"\n" for line, _ in batch)
                # What was sent twice, since no answer came to the first, is refused as another's would be: so read it.
                if self._bucket.create(f"ledger/{name}", data) or self._bucket.read(f"ledger/{name}") == data:
                    write_durably(self.root / name, data)
                    self._refresh()
                    return [record for _, record in batch]
                pull_ledger(self._bucket, self.root.parent)
                self._refresh()
            return []

    def _send(self, drafts: Sequence[Draft]) -> None:
        if self._sent is None:
            self._begin()
            self._sent = {name.removeprefix("objects/").replace("/", "") for name in self._bucket.names("objects/")}
        named = {item.digest for draft in drafts for item in (*draft.inputs, *draft.outputs)}
        named |= {draft.key for draft in drafts if draft.key}
        new = sorted(name for name in named - self._sent if self._store.has(name))
        self._bucket.send({f"objects/{name[:2]}/{name[2:]}": self._store.path(name) for name in new})
        self._sent.update(new)

    def _begin(self) -> None:
        """The bucket's format, and rule 3."""
        text = (self.root.parent / FORMAT_FILE).read_bytes()
        self._bucket.create(FORMAT_FILE, text)
        if self._bucket.create(FORMAT_FILE, text):
            remedy = (
                "Use a server that keeps `If-None-Match: *` when objects are put, as S3 does, or a workspace on disk."
            )
            message = f"{self._bucket.url} overwrites what is there: two writers would spoil each other's records"
            raise WorldError(message, remedy=remedy)


def attached(home: Path) -> Bucket | None:
    """The bucket that the working copy `home` is of; None where it is a workspace of its own."""
    try:
        data = (home / MARK).read_bytes()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    return Bucket(str(parse(data)["url"]))


def working_copy(bucket: Bucket, cache: Path) -> Path:
    """The folder under `cache` for the working copy of `bucket`, made where there is none."""
    home = cache / digest(bucket.url.encode())[:16]
    with disk(home):
        make_directory(home)
        if not (home / MARK).exists():
            write_durably(home / MARK, canonical({"url": bucket.url}) + b"\n")
    return home


def pull(bucket: Bucket, home: Path, progress: Callable[[int, int], None]) -> None:
    """Brings a working copy up to date; `progress` is told bytes done and bytes in all.

    Raises EvidenceError where the bucket has lost records that the working copy has, or an object's bytes are not the
    ones that its name says.
    """
    names = bucket.names()
    wanted = {name: home / name for name in names if _is_copied(name) and not (home / name).exists()}
    wanted |= {name: home / name for name in names if name.startswith("reports/") and _is_safe(name)}
    done, total = 0, sum(names[name] for name in wanted)
    if FORMAT_FILE in names:
        _copy_small(bucket, home, [FORMAT_FILE])
    for name in _copy_objects(bucket, home, [name for name in wanted if name.startswith("objects/")]):
        done += names[name]
        progress(done, total)
    _copy_small(bucket, home, [name for name in wanted if name.startswith("reports/")])
    pull_ledger(bucket, home, names)


def _copy_objects(bucket: Bucket, home: Path, names: Sequence[str]) -> Iterator[str]:
    """Puts objects into the working copy's store, each once its bytes are the ones that its name says."""
    if not names:
        return
    store = ObjectStore(home / "objects")
    with store.incoming() as folder:
        for name in bucket.fetch({name: folder / name.replace("/", "-") for name in names}):
            file = folder / name.replace("/", "-")
            if store.put_file(file) != name.removeprefix("objects/").replace("/", ""):
                raise EvidenceError(f"{bucket.url}/{name} is altered", remedy=f"Run `plimsoll verify {bucket.url}`.")
            file.unlink()
            yield name


def pull_objects(bucket: Bucket, home: Path, digests: Iterable[str]) -> None:
    """Copies these objects to the store below `home`, where they are not there yet; each is hashed.

    Raises EvidenceError where the bucket's bytes are not the ones that a name says, WorldError where it has none.
    """
    make_directory(home)
    store = ObjectStore(home / "objects")
    missing = sorted({each for each in digests if not store.has(each)})
    for _ in _copy_objects(bucket, home, [f"objects/{each[:2]}/{each[2:]}" for each in missing]):
        pass


def pull_ledger(bucket: Bucket, home: Path, names: Mapping[str, int] | None = None) -> None:
    """Copies the batches that the bucket has and the working copy has not, in order, so that a crash leaves a prefix.

    Raises EvidenceError where the bucket's and the working copy's are not the beginning of one chain.
    """
    known = bucket.names("ledger/") if names is None else names
    theirs = {name: size for name, size in known.items() if _is_batch(name)}
    ours = {f"ledger/{path.name}": path.stat().st_size for path in sorted((home / "ledger").glob("*.jsonl"))}
    if any(theirs.get(name) != size for name, size in ours.items()):
        remedy = (
            f"Run `plimsoll verify {bucket.url} --head …` with a head that you saved. If it holds, and that ledger is "
            f"the one that you mean, delete {home}."
        )
        raise EvidenceError(f"{bucket.url} has not all records that it had when {home} was copied", remedy=remedy)
    _copy_small(bucket, home, sorted(theirs.keys() - ours.keys()))


def download(bucket: Bucket, folder: Path, progress: Callable[[int, int], None]) -> None:
    """Copies every object into the empty `folder`, to be verified there. Raises UsageError where there is none, and
    EvidenceError for a name that would lead out of it."""
    names = bucket.names()
    if not names:
        raise UsageError(
            f"there is no workspace at {bucket.url}", remedy="Make one with `plimsoll run PHASE --home …`."
        )
    for name in names:
        if not _is_safe(name):
            raise EvidenceError(f"{bucket.url} has an object that no workspace has: {name!r}")
    done, total = 0, sum(names.values())
    for name in bucket.fetch({name: folder / name for name in names}):
        done += names[name]
        progress(done, total)


def _copy_small(bucket: Bucket, home: Path, names: Iterable[str]) -> None:
    for name in names:
        data = bucket.read(name)
        if data is None:
            raise EvidenceError(f"{bucket.url}/{name} is gone", remedy=f"Run `plimsoll verify {bucket.url}`.")
        with disk(home / name):
            make_directory((home / name).parent)
            write_durably(home / name, data)


def _is_copied(name: str) -> bool:
    return name.startswith("objects/") and is_digest(name.removeprefix("objects/").replace("/", "", 1))


def _is_batch(name: str) -> bool:
    return name.startswith("ledger/") and FILE_NAME.fullmatch(name.removeprefix("ledger/")) is not None


def _is_safe(name: str) -> bool:
    parts = name.split("/")
    return PurePosixPath(name).parts == tuple(parts) and ".." not in parts and "\0" not in name and "\\" not in name
