"""From a clone to pairs: what becomes of each kind of commit, and which side each file is on."""

import json
from pathlib import Path

import pytest

from tests.trainer.history.repositories import MIT, Repository, function, git, make_history
from trainer.history.make import CommitsConfig, check, run
from trainer.pairs.row import SPLITS, PreferenceRow, read_pairs
from trainer.pipeline.stage import StageError, read_manifest


def rows_of(
    folder: Path, repository: Repository, **settings: object
) -> tuple[list[PreferenceRow], dict[str, dict[str, int]]]:
    """All rows that a repository yields, and the counts."""
    config = CommitsConfig(repository=str(repository.folder), **settings)  # type: ignore[arg-type]
    output = folder / "commits"
    run(config, folder, output)
    rows = [row for split in SPLITS for row in read_pairs(output, split)]
    return rows, read_manifest(output)


def test_a_fix_makes_a_pair_of_the_function_after_it_over_that_before_it(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "pager")
    indented = "class Pager:\n" + "".join(
        f"    {line}\n" for line in function("pages").splitlines()
    )
    repository.commit("Add a pager of values", {"pager.py": indented})
    fixed = indented.replace("value > limit:", "value >= limit:  # without it")
    message = "Leave the limit itself out (#12)\n\nIt was counted.\n\nReviewed-by: Bob <b@c.org>"
    identity = repository.commit(message, {"pager.py": fixed, "LICENSE": f"{MIT} Again."})
    (row,), counts = rows_of(tmp_path, repository)
    assert row.id == f"{identity[:12]}/pager.py/Pager.pages"
    assert row.prompt == (
        "Leave the limit itself out\n\nIt was counted.\n\n"
        "Rewrite the function `Pager.pages(values, limit)` of pager.py accordingly."
    )
    assert row.rejected[0].text == function("pages").rstrip()
    assert "value >= limit:  # without it" in row.chosen
    assert row.group == "pager/pager.py"
    assert counts["commits"] == {"housekeeping": 1, "no code changed": 1, "used": 1}
    assert counts["files"] == {"added": 1, "not code": 1, "read": 1}


def test_every_kind_of_commit_that_is_no_fix_is_counted(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "sums")
    text = function("sums")

    def commit(message: str, changed: str, author: tuple[str, str] = ("Ada", "a@b.org")) -> str:
        return repository.commit(message, {"sums.py": changed}, author)

    commit("Add a module of sums", text)
    commit("Put the loop into one line of comment", text.replace("total = 0", "total = 0  # sum"))
    commit("Rename the total everywhere", text.replace("total", "result"))
    commit("Better names for what is summed", text.replace("total", "whole"))
    commit("wip", text.replace("> limit", ">= limit"))
    commit("Bump the step from 1 to 2", function("sums", 2), ("dependabot[bot]", "d@b.org"))
    bad = commit("Take every third value into account", function("sums", 3))
    commit(f'Revert "Take every third"\n\nThis reverts commit {bad}.', function("sums", 2))
    commit("Try another step, which was wrong", function("sums", 5))
    commit("Go back to a step of two", function("sums", 2))
    large = function("sums", 2, body="".join(f"    total += {n}\n" for n in range(40)))
    commit("Add all those numbers to the total", large)
    rows, counts = rows_of(tmp_path, repository)
    assert [row.prompt.splitlines()[0] for row in rows if isinstance(row.prompt, str)] == [
        "Go back to a step of two"
    ]
    assert counts["commits"] == {
        "bot": 1,
        "housekeeping": 2,  # the initial commit and wip
        "no code changed": 1,
        "no function to learn from": 4,
        "rename or move": 1,
        "revert": 1,
        "reverted later": 1,
        "used": 1,
    }
    assert counts["functions"] == {
        "change too large": 1,
        "kept": 1,
        "layout, comments or annotations only": 1,
        "local names only": 1,
        "revert": 1,
        "taken back later": 1,
    }


def test_a_file_is_on_one_side_under_all_its_names_and_so_is_a_commit(tmp_path: Path) -> None:
    repository = make_history(tmp_path / "many", files=12, fixes=2)
    git(repository.folder, "mv", "src/module_0.py", "src/first.py")
    repository.commit("Rename a module", {})
    renamed = {"src/first.py": function("sum_module_0", 7), "src/module_1.py": function("f", 9)}
    repository.commit("Take larger steps in both modules", renamed)
    rows, _ = rows_of(tmp_path, repository, evaluation_share=0.3, calibration_share=0.2)
    groups = {
        split: {row.group for row in read_pairs(tmp_path / "commits", split)} for split in SPLITS
    }
    assert all(groups.values())
    assert len(set.union(*groups.values())) == sum(map(len, groups.values()))
    assert {row.group for row in rows if "/src/module_0.py/" in row.id} <= {"many/src/first.py"}
    commits = {
        split: {row.id.partition("/")[0] for row in read_pairs(tmp_path / "commits", split)}
        for split in SPLITS
    }
    assert not commits["train"] & (commits["evaluation"] | commits["calibration"])


def test_mutants_of_todays_functions_join_where_history_is_short(tmp_path: Path) -> None:
    repository = make_history(tmp_path / "few", files=10, fixes=1)
    described = function("described", 4, body="".join(f"    total -= {n}\n" for n in range(9)))
    repository.commit("Add one more module", {"src/more.py": described})
    rows, counts = rows_of(tmp_path, repository, min_rows=14)
    sides = {row.group: set[str]() for row in rows}
    for split in SPLITS:
        for row in read_pairs(tmp_path / "commits", split):
            sides[row.group].add(split)
    assert {row.source for row in rows} == {"commits", "mutants"}
    assert all(len(splits) == 1 for splits in sides.values())
    assert counts["rows"]["train: rows"] <= 14


def test_another_run_makes_the_same_rows(tmp_path: Path) -> None:
    repository = make_history(tmp_path / "same", files=6)
    first, _ = rows_of(tmp_path, repository, min_rows=20)
    again, _ = rows_of(tmp_path, repository, min_rows=20)
    assert first == again


def test_who_made_a_commit_is_nowhere_in_the_output(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "named")
    repository.commit("Add a module of sums", {"sums.py": function("sums")})
    message = (
        "Count the limit as well\n\nAda Lovelace saw it.\nMail grace@example.com about it.\n"
        "\nCo-authored-by: Grace Hopper <grace@example.com>"
    )
    repository.commit(message, {"sums.py": function("sums", 2)})
    rows_of(tmp_path, repository)
    text = "".join(file.read_text() for file in (tmp_path / "commits").iterdir())
    assert "Count the limit as well" in text
    assert not [name for name in ("Ada", "Grace", "@example") if name in text]


def test_a_repository_whose_license_allows_no_use_is_refused_unless_it_is_ones_own(
    tmp_path: Path,
) -> None:
    repository = Repository(tmp_path / "copyleft", "GNU GENERAL PUBLIC LICENSE Version 3")
    repository.commit("Add a module of sums", {"sums.py": function("sums")})
    repository.commit("Count the limit as well", {"sums.py": function("sums", 2)})
    with pytest.raises(StageError, match=r"is GPL-3.0-only, which .* commits.own=true"):
        check(CommitsConfig(repository=str(repository.folder)), tmp_path)
    rows, manifest = rows_of(tmp_path, repository, own=True)
    assert len(rows) == 1
    assert json.dumps(manifest["license"]) == '"LicenseRef-own"'


def test_functions_of_other_languages_are_cut_by_their_grammars(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "go")
    text = (
        "package sums\n\n// Sum adds values.\nfunc Sum(values []int, limit int) int {\n"
        "\ttotal := 0\n\tfor _, value := range values {\n\t\tif value > limit {\n"
        "\t\t\tcontinue\n\t\t}\n\t\ttotal += value\n\t}\n\treturn total\n}\n"
    )
    repository.commit("Add a package of sums", {"sums.go": text})
    repository.commit("Better names in the loop", {"sums.go": text.replace("total", "whole")})
    repository.commit(
        "Say more about the sum",
        {"sums.go": text.replace("\ttotal := 0", "\t// sum\n\ttotal := 0")},
    )
    repository.commit("Count the limit as well", {"sums.go": text.replace("> limit", ">= limit")})
    (row,), manifest = rows_of(tmp_path, repository)
    assert "value >= limit" in row.chosen
    assert "func Sum(values []int, limit int) int" in str(row.prompt)
    assert manifest["functions"] == {"kept": 1, "local names only": 2}


def test_a_history_without_any_pair_says_what_became_of_its_commits(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "empty")
    with pytest.raises(StageError, match=r"makes a pair \(1 housekeeping\)"):
        rows_of(tmp_path, repository)
    assert not (tmp_path / "commits").exists()


def test_a_request_or_a_function_on_two_sides_is_kept_on_the_held_out_one(tmp_path: Path) -> None:
    """Functions of different files are often described in the same words, or copied."""
    repository = make_history(tmp_path / "copies", files=10, fixes=1)
    others = {f"src/same_{number}.py": function("same", 9) for number in range(12)}
    repository.commit("Add the same function to many modules", others)
    for number in range(12):
        changed = {f"src/same_{number}.py": function("same", 10)}
        repository.commit(f"Take steps of ten, as in module {number}", changed)
    rows, manifest = rows_of(tmp_path, repository, min_rows=40, evaluation_share=0.3)
    by_split = {split: read_pairs(tmp_path / "commits", split) for split in SPLITS}
    requests = {split: {row.prompt for row in found} for split, found in by_split.items()}
    assert by_split["evaluation"]
    assert not requests["train"] & requests["evaluation"]
    assert manifest["functions"]["duplicate"] == 11
    assert [row.chosen for row in rows if row.source == "commits"].count(
        function("same", 10)[:-1]
    ) == 1


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("message_pattern", "(fix", "no regular expression"),
        ("max_commits", 0, "must be 1 or more"),
        ("languages", ("pyton",), "there are python"),
    ],
)
def test_what_would_read_nothing_is_refused_before_any_stage_runs(
    field: str, value: object, message: str
) -> None:
    with pytest.raises(StageError, match=message):
        CommitsConfig(**{field: value})  # type: ignore[arg-type]
