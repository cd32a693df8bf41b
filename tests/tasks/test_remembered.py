"""What was derived from a catalogue is remembered until something that it was derived from changes."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.remembered import remembered, remembered_of


@pytest.fixture
def derive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, int]]:
    """Asks for the text of a file in capitals; tells how often it was derived."""
    monkeypatch.setenv("PLIMSOLL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "catalogue").mkdir()
    file = tmp_path / "catalogue" / "a.yaml"
    file.write_text("one")
    count = 0

    def ask(asked: str = "pilot") -> tuple[str, int]:
        def make() -> tuple[dict[str, str], str]:
            nonlocal count
            count += 1
            return {"a.yaml": hashlib.sha256(file.read_bytes()).hexdigest()}, file.read_text().upper()

        return remembered(file.parent, (asked,), make), count

    return ask


def kept(tmp_path: Path) -> Path:
    [file] = (tmp_path / "cache" / "derived").glob("*.pickle")
    return file


def test_it_is_derived_once_and_again_when_a_file_changes_or_something_else_is_asked(
    derive: Callable[..., tuple[str, int]], tmp_path: Path
) -> None:
    assert [derive(), derive()] == [("ONE", 1), ("ONE", 1)]
    assert derive("launch") == ("ONE", 2)
    (tmp_path / "catalogue" / "a.yaml").write_text("two")
    assert [derive(), derive()] == [("TWO", 3), ("TWO", 3)]
    (tmp_path / "catalogue" / "a.yaml").unlink()
    with pytest.raises(FileNotFoundError):
        derive()


def test_it_is_derived_again_when_the_code_changes(
    derive: Callable[..., tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert derive() == ("ONE", 1)
    monkeypatch.setattr("tasks.remembered._code", lambda: "changed")
    assert derive() == ("ONE", 2)


def test_what_is_damaged_or_may_be_anothers_is_not_read(derive: Callable[..., tuple[str, int]], tmp_path: Path) -> None:
    derive()
    data = kept(tmp_path).read_bytes()
    for number, spoilt in enumerate((b"", data[:-3], b"nonsense", pickle.dumps("text")), 2):
        kept(tmp_path).write_bytes(spoilt)
        assert derive() == ("ONE", number)
    kept(tmp_path).chmod(0o666)
    assert derive() == ("ONE", 6)
    assert kept(tmp_path).stat().st_mode & 0o777 == 0o600
    assert derive() == ("ONE", 6)


@pytest.mark.parametrize("spoil", ["open to all", "a link"])
def test_a_folder_that_others_may_write_to_keeps_nothing_and_gives_nothing(
    derive: Callable[..., tuple[str, int]], tmp_path: Path, spoil: str
) -> None:
    derive()
    folder = kept(tmp_path).parent
    if spoil == "a link":
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.chmod(0o777)
    before = kept(tmp_path).read_bytes()
    assert [derive(), derive("launch")] == [("ONE", 2), ("ONE", 3)]
    assert kept(tmp_path).read_bytes() == before


def test_where_nothing_can_be_kept_it_is_derived_every_time(
    derive: Callable[..., tuple[str, int]], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where a folder is due")
    assert [derive(), derive()] == [("ONE", 1), ("ONE", 2)]


def test_old_ones_go(derive: Callable[..., tuple[str, int]], tmp_path: Path) -> None:
    for number in range(40):
        derive(str(number))
    assert len(list((tmp_path / "cache" / "derived").iterdir())) == 32


def test_what_depends_on_nothing_but_its_inputs_is_known_by_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLIMSOLL_CACHE", str(tmp_path))
    assert remembered_of({"runs": ["a"]}, lambda: 1) == 1
    assert remembered_of({"runs": ["a"]}, lambda: 2) == 1
    assert remembered_of({"runs": ["a", "b"]}, lambda: 3) == 3
