import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_model.release.release import sha256
from trainer.pairs.row import SPLITS, PreferenceRow, read_pairs
from trainer.pipeline.stage import StageError, read_manifest
from trainer.preferences.formats.trl import Trl
from trainer.preferences.gather import PreferencesConfig, run
from trainer.preferences.source import Dataset, PreferenceSource
from trainer.tables.record import Record


def pair(prompt: str, number: int = 0) -> Record:
    return {"prompt": prompt, "chosen": f"right {number}", "rejected": f"wrong {number}"}


def source(folder: Path, name: str, rows: list[Record], **facts: Any) -> PreferenceSource:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return PreferenceSource(name, Trl(), (f"{name}.jsonl",), **facts)


def gathered(folder: Path, config: PreferencesConfig) -> dict[str, list[PreferenceRow]]:
    run(config, folder, folder / "preferences")
    return {split: read_pairs(folder / "preferences", split) for split in SPLITS}


def made(folder: Path) -> dict[str, dict[str, int]]:
    sources = read_manifest(folder / "preferences")["sources"]
    return {name: facts["made"] for name, facts in sources.items()}


def of(rows: list[PreferenceRow], name: str) -> list[PreferenceRow]:
    return [row for row in rows if row.source == name]


MANY = [pair(f"p{n}", n) for n in range(60)]
TRAIN_ONLY = PreferencesConfig((), evaluation_share=0.0, calibration_share=0.0)

rows_of_two = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3)), min_size=1)
splits = st.sampled_from(["", "", "train", "calibration", "evaluation"])


@settings(max_examples=30)  # each writes a stage
@given(rows_of_two, rows_of_two, splits, splits, st.floats(0, 0.5), st.integers(0, 3))
def test_a_group_is_on_one_side_and_every_row_in_one_count(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[str, int]],
    second: list[tuple[str, int]],
    split: Any,
    other: Any,
    share: float,
    most: int,
) -> None:
    folder = tmp_path_factory.mktemp("gather")
    config = PreferencesConfig(
        (
            source(folder, "one", [pair(*row) for row in first], split=split),
            source(folder, "two", [pair(*row) for row in second], split=other, max_rows=most),
        ),
        evaluation_share=share,
        calibration_share=share,
        max_held_out=2,
    )
    by_split = gathered(folder, config)
    groups = [{row.group for row in rows} for rows in by_split.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))
    for name, rows in (("one", first), ("two", second)):
        assert sum(made(folder)[name].values()) == len(rows)
        written = {split: len(of(rows, name)) for split, rows in by_split.items()}
        assert written == {split: made(folder)[name].get(split, 0) for split in SPLITS}
    ids = Counter(row.id for rows in by_split.values() for row in rows)
    assert set(ids.values()) <= {1}


def test_the_side_is_decided_as_everywhere(tmp_path: Path) -> None:
    config = PreferencesConfig((source(tmp_path, "one", MANY),), evaluation_share=0.3)
    for split, rows in gathered(tmp_path, config).items():
        assert rows
        assert {config.split_of(row.group) for row in rows} == {split}


def test_what_one_source_holds_out_no_other_trains_on(tmp_path: Path) -> None:
    pinned = source(tmp_path, "pinned", MANY[:20], split="evaluation")
    trained = source(
        tmp_path, "trained", [pair(f"p{n}", 100 + n) for n in range(60)], split="train"
    )
    hashed = source(tmp_path, "hashed", [pair(f"p{n}", 200 + n) for n in range(60)])
    by_split = gathered(tmp_path, replace(TRAIN_ONLY, sources=(pinned, trained, hashed)))
    assert made(tmp_path) == {
        "pinned": {"evaluation": 20},
        "trained": {"left out: another source's evaluation": 20, "train": 40},
        "hashed": {"evaluation": 20, "train": 40},
    }
    assert {row.source for row in by_split["evaluation"]} == {"pinned", "hashed"}


def test_the_same_row_in_two_sources_counts_once(tmp_path: Path) -> None:
    sources = (source(tmp_path, "one", MANY[:9]), source(tmp_path, "two", [*MANY[:12], MANY[0]]))
    by_split = gathered(tmp_path, replace(TRAIN_ONLY, sources=sources))
    assert len(by_split["train"]) == 12
    assert made(tmp_path)["two"] == {"left out: duplicate": 10, "train": 3}


def test_shares_mix_as_many_rows_as_fit_and_weights_stay(tmp_path: Path) -> None:
    small = source(tmp_path, "small", MANY[:10], share=0.2, weight=2.0)
    large = source(tmp_path, "large", MANY[10:], share=0.6)
    rows = gathered(tmp_path, replace(TRAIN_ONLY, sources=(small, large)))["train"]
    assert (len(of(rows, "small")), len(of(rows, "large"))) == (10, 30)
    assert made(tmp_path)["large"]["left out: train over limit or share"] == 20
    assert {row.weight for row in of(rows, "small")} == {2.0}


def test_fewer_rows_are_a_part_of_more(tmp_path: Path) -> None:
    some = [
        {row.id for row in gathered(tmp_path, replace(TRAIN_ONLY, sources=(each,)))["train"]}
        for each in (source(tmp_path, "one", MANY, max_rows=n) for n in (5, 20, None))
    ]
    assert some[0] < some[1] < some[2]
    assert [len(ids) for ids in some] == [5, 20, 60]


def test_the_order_of_a_files_rows_changes_nothing(tmp_path: Path) -> None:
    there = gathered(tmp_path, PreferencesConfig((source(tmp_path, "one", MANY),)))
    back = gathered(tmp_path, PreferencesConfig((source(tmp_path, "one", MANY[::-1]),)))
    assert there == back


def test_files_are_known_by_their_hashes(tmp_path: Path) -> None:
    gathered(tmp_path, replace(TRAIN_ONLY, sources=(source(tmp_path, "one", MANY),)))
    read = read_manifest(tmp_path / "preferences")["read"]
    assert read == {"one.jsonl": sha256(tmp_path / "one.jsonl")}


def test_and_those_of_a_folder_by_their_own_paths(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    one = source(tmp_path / "data", "one", MANY)
    gathered(tmp_path, replace(TRAIN_ONLY, sources=(replace(one, paths=("data",)),)))
    read = read_manifest(tmp_path / "preferences")["read"]
    assert read == {"data/one.jsonl": sha256(tmp_path / "data" / "one.jsonl")}


def test_what_is_held_out_beyond_the_limit_is_counted_and_left_out(tmp_path: Path) -> None:
    sources = (source(tmp_path, "one", MANY),)
    config = replace(TRAIN_ONLY, sources=sources, evaluation_share=1.0, max_held_out=5)
    assert len(gathered(tmp_path, config)["evaluation"]) == 5
    assert made(tmp_path) == {"one": {"evaluation": 5, "left out: evaluation over the limit": 55}}


def test_a_mixture_that_means_nothing_is_refused(tmp_path: Path) -> None:
    one = source(tmp_path, "one", MANY)
    two = replace(one, name="two")
    refused = {
        "at least one source": (),
        "a name of its own": (one, one),
        "either paths or a dataset": (replace(one, dataset=Dataset("d")),),
        "needs either": (replace(one, paths=()),),
        "above 0": (replace(one, weight=0.0),),
        "must be above": (replace(one, share=-1.0),),
        "every source that is trained on": (replace(one, share=0.5), two),
    }
    for message, sources in refused.items():
        with pytest.raises(StageError, match=message):
            run(PreferencesConfig(sources), tmp_path, tmp_path / "preferences")
    held_out = replace(two, split="evaluation")
    run(PreferencesConfig((replace(one, share=0.5), held_out)), tmp_path, tmp_path / "p")


def agent(number: int) -> Record:
    turns = ["You are an agent. Begin.", "What is the task?", f"Mend issue {number}."]
    roles = ["user", "assistant", "user"]
    prompt = [{"role": role, "content": text} for role, text in zip(roles, turns, strict=True)]
    return {"prompt": prompt, "chosen": f"right {number}", "rejected": f"wrong {number}"}


def test_agents_with_one_opening_are_held_out_by_task(tmp_path: Path) -> None:
    agents = source(tmp_path, "agents", [agent(n) for n in range(60)])
    by_split = gathered(tmp_path, PreferencesConfig((agents,), evaluation_share=0.2))
    assert all(by_split.values())
    assert read_manifest(tmp_path / "preferences")["counts"]["evaluation: groups"] > 1
    assert read_manifest(tmp_path / "preferences")["warnings"] == []


def test_a_split_that_comes_out_empty_is_said_loudly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = source(tmp_path, "one", [pair("p", n) for n in range(30)])
    run(PreferencesConfig((one,)), tmp_path, tmp_path / "preferences")
    printed = capsys.readouterr().err
    for split in ("evaluation", "calibration"):
        message = f"the {split} split is empty, because 30 rows make 1 groups"
        assert message in printed
    assert "30 of 30 training rows are one group" in printed
    assert len(read_manifest(tmp_path / "preferences")["warnings"]) == 3


def test_splits_that_nobody_asked_for_are_empty_without_a_word(tmp_path: Path) -> None:
    gathered(tmp_path, replace(TRAIN_ONLY, sources=(source(tmp_path, "one", MANY),)))
    assert read_manifest(tmp_path / "preferences")["warnings"] == []


def test_rows_that_are_left_out_are_told_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[Record] = [*MANY[:8], {"prompt": "p", "chosen": "a", "rejected": None}]
    run(replace(TRAIN_ONLY, sources=(source(tmp_path, "own", rows),)), tmp_path, tmp_path / "made")
    told = "preferences: 1 of 9 rows of own are left out: rejected is neither text nor messages"
    assert f"{told} (first at own.jsonl:9)" in capsys.readouterr().err
