import hashlib
from pathlib import Path

import pytest

from service.auth.account import AccountLimits
from service.auth.key_file import Key, KeyFileError, digest_of, read_keys


def line(name: str, key: str, *limits: str) -> str:
    return " ".join((name, f"sha256:{hashlib.sha256(key.encode()).hexdigest()}", *limits)) + "\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "keys"
    path.write_text(text)
    return path


def test_lines_comments_and_limits(tmp_path: Path) -> None:
    text = (
        "# who may score\n\n"
        + line("team-a", "one", "concurrency=4", "tokens_per_minute=100000", "# the old cluster")
        + line("team-b", "two").upper().replace("SHA", "sha")
    )
    assert read_keys(written(tmp_path, text)) == (
        Key("team-a", digest_of("one"), AccountLimits(4, 100_000)),
        Key("TEAM-B", digest_of("two"), AccountLimits()),
    )


def test_one_holder_may_have_two_keys_while_clients_change_over(tmp_path: Path) -> None:
    old, new = read_keys(written(tmp_path, line("team", "old") + line("team", "new")))
    assert (old.name, old.limits) == (new.name, new.limits)


@pytest.mark.parametrize(
    ("second_line", "reason"),
    [
        ("SECRET", "line 2: after the name comes sha256:"),
        ("SECRET sha256:12", "line 2: after the name comes sha256:"),
        ("SECRET\u00e9 sha256:" + "0" * 64, "line 2: a name is"),
        (line("b", "SECRET", "concurrency=0"), "line 2: after the hash come"),
        (line("b", "SECRET", "SECRET=1"), "line 2: after the hash come"),
        (line("b", "two", "concurrency=9", "concurrency=9"), "line 2: concurrency is set twice"),
        (
            line("b", "two", "tokens_per_minute=9", "concurrency=1", "tokens_per_minute=8"),
            "line 2: tokens_per_minute is set twice",
        ),
        (line("b", "one"), "line 2: the same key is on line 1"),
        (line("a", "two", "concurrency=1"), "line 2: the same name has other limits on line 1"),
    ],
)
def test_a_wrong_line_is_named_and_not_repeated(
    tmp_path: Path, second_line: str, reason: str
) -> None:
    with pytest.raises(KeyFileError) as error:
        read_keys(written(tmp_path, line("a", "one") + second_line))
    assert reason in str(error.value)
    assert "SECRET" not in str(error.value)
    assert "sha256:0" not in str(error.value)


def test_a_file_without_keys_shuts_everybody_out_and_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="holds 0 keys"):
        read_keys(written(tmp_path, "# none\n"))


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(KeyFileError, match="not UTF-8"):
        read_keys(tmp_path / "binary")
    with pytest.raises(KeyFileError, match="No such file"):
        read_keys(tmp_path / "nothing")
