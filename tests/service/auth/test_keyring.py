"""Which keys count, while their file changes."""

import os
from pathlib import Path

import pytest

from service.auth.account import Account
from service.auth.key_file import KeyFileError
from service.auth.keyring import Keyring
from service.errors import QuotaExceeded
from tests.service.auth.test_account import Clock
from tests.service.auth.test_key_file import line


class File:
    """A key file, and a keyring that follows it."""

    def __init__(self, tmp_path: Path, text: str) -> None:
        self.path = tmp_path / "keys"
        self.path.write_text(text)
        self.clock = Clock()
        self.ring = Keyring(self.path, self.clock)

    def holder(self, *presented: str) -> str | None:
        account = self.ring.account(presented)
        return account.name if account else None

    def becomes(self, text: str) -> None:
        """Replaced, as editors and Kubernetes do, and then time passes."""
        new = self.path.with_name("new")
        new.write_text(text)
        new.replace(self.path)
        self.clock.now += 1


def test_a_key_tells_its_holder(tmp_path: Path) -> None:
    file = File(tmp_path, line("a", "one") + line("b", "two") + line("b", "three"))
    assert [file.holder(key) for key in ("one", "two", "three")] == ["a", "b", "b"]
    assert [file.holder(*keys) for keys in ([], ["on"], ["one "], ["caf\xe9"])] == [None] * 4
    assert file.holder("EMPTY", "two") == "b"


def test_a_changed_file_counts_after_a_second(tmp_path: Path) -> None:
    file = File(tmp_path, line("a", "one"))
    file.clock.now += 5
    assert file.holder("one") == "a"
    file.becomes(line("b", "two"))
    file.clock.now -= 0.1
    assert file.holder("one") == "a"
    file.clock.now += 0.1
    assert [file.holder(key) for key in ("one", "two")] == [None, "b"]


@pytest.mark.parametrize("broken", ["", "half a line", line("b", "two") + "c sha256:0"])
def test_a_broken_file_changes_nothing_and_is_logged_once(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = File(tmp_path, line("a", "one"))
    file.becomes(broken)
    for _ in range(3):
        file.clock.now += 1
        assert [file.holder(key) for key in ("one", "two", "")] == ["a", None, None]
    assert file.ring.stale
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "the keys known before still count" in caplog.text
    file.becomes(line("b", "two"))
    assert [file.holder(key) for key in ("one", "two")] == [None, "b"]
    assert not file.ring.stale


@pytest.mark.parametrize("unreadable", [True, False])
def test_a_file_that_is_gone_or_unreadable_changes_nothing(
    tmp_path: Path, unreadable: bool
) -> None:
    file = File(tmp_path, line("a", "one"))
    file.path.unlink()
    if unreadable:
        file.path.mkdir()
    file.clock.now += 1
    assert [file.holder(key) for key in ("one", "two")] == ["a", None]
    assert file.ring.stale
    if unreadable:
        file.path.rmdir()
    file.becomes(line("b", "two"))
    assert [file.holder(key) for key in ("one", "two")] == [None, "b"]


def test_a_pipe_in_the_place_of_the_file_holds_up_no_request(tmp_path: Path) -> None:
    file = File(tmp_path, line("a", "one"))
    file.path.unlink()
    os.mkfifo(file.path)
    file.clock.now += 1
    assert [file.holder(key) for key in ("one", "two")] == ["a", None]
    assert file.ring.stale
    with pytest.raises(KeyFileError, match="no regular file"):
        Keyring(file.path)
    file.becomes(line("b", "two"))
    assert [file.holder(key) for key in ("one", "two")] == [None, "b"]


def test_a_mounted_secret_that_kubernetes_replaces(tmp_path: Path) -> None:
    """The file is a link through a link, and only the middle one changes."""
    for version, key in enumerate(("one", "two")):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "keys").write_text(line("a", key))
    data, clock = tmp_path / "..data", Clock()
    data.symlink_to("..0")
    (tmp_path / "keys").symlink_to("..data/keys")
    ring = Keyring(tmp_path / "keys", clock)
    (tmp_path / "new").symlink_to("..1")
    (tmp_path / "new").replace(data)
    clock.now += 1
    assert [ring.account([key]) is not None for key in ("one", "two")] == [False, True]


def test_holders_keep_their_accounts(tmp_path: Path) -> None:
    file = File(tmp_path, line("a", "one", "concurrency=1"))
    before = file.ring.account(["one"])
    assert before
    with before.in_flight():
        file.becomes(line("a", "two", "concurrency=1"))
        after = file.ring.account(["two"])
        assert after is before
        with pytest.raises(QuotaExceeded), after.in_flight():
            pass
        file.becomes(line("a", "two", "concurrency=2"))
        raised: Account | None = file.ring.account(["two"])
        assert raised
        with raised.in_flight():
            pass


def test_a_line_that_is_gone_for_a_while_forgives_no_debt(tmp_path: Path) -> None:
    mine, other = line("a", "one", "tokens_per_minute=60"), line("b", "two")
    file = File(tmp_path, mine + other)
    account = file.ring.account(["one"])
    assert account
    with account.charged(0) as charge:
        charge.spend(10_000)
    file.becomes(other)
    assert file.holder("one") is None
    file.becomes(mine + other)
    again = file.ring.account(["one"])
    assert again
    with pytest.raises(QuotaExceeded), again.charged(1):
        pass


def test_it_does_not_begin_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError):
        Keyring(tmp_path / "nothing")
