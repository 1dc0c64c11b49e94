"""Which answers of labelled candidates are compared, and what the user is told of a file."""

from dataclasses import replace
from pathlib import Path

import pytest

from reward_model.text.encoding import Encoder
from tests.checkpoints import make_tokenizer
from tests.trainer.autoconfig.made import write_rows
from trainer.autoconfig.data import Data, read_data
from trainer.pairs.criteria import STANDARD
from trainer.pairs.encoded import encode_rows
from trainer.pipeline.stage import StageError

ROOT = Path(__file__).resolve().parents[3]


def candidates(*models: str) -> list[dict[str, object]]:
    """Of each model a right and a wrong answer; later models write longer ones."""
    return [
        {"model": model, "text": f"{word} {'x' * 9 * place}", "correct": word == "right"}
        for place, model in enumerate(models)
        for word in ("right", "wrong")
    ]


def found(folder: Path, rows: list[dict[str, object]]) -> Data:
    encoder = Encoder(make_tokenizer(), max_tokens=10_000, pad_id=None)
    file = write_rows(folder / "rows.jsonl", rows)
    return read_data(file, encoder, name="data", kind="", named={}, max_pairs=16)


@pytest.mark.parametrize(
    ("models", "same_model", "family"),
    [
        (("small", "large"), True, ".*"),
        (("only",), False, ".*"),
        (("", ""), False, ".*"),
    ],
)
def test_answers_of_one_model_are_compared_where_enough_prompts_have_both(
    models: tuple[str, ...], same_model: bool, family: str, tmp_path: Path
) -> None:
    answers = candidates(*models)
    data = found(tmp_path, [{"prompt": f"q {n}", "candidates": answers} for n in range(8)])
    assert data.source.pairing.same_model == same_model
    assert getattr(data.source.format, "family") == family  # noqa: B009 - of one of many formats


def test_a_family_is_the_name_before_a_slash(tmp_path: Path) -> None:
    answers: list[dict[str, object]] = [
        {"model": "lab/short", "text": "right", "correct": True},
        {"model": "lab/long", "text": "wrong, and longer", "correct": False},
        {"model": "other/one", "text": "right, and by far the longest of all", "correct": True},
    ]
    data = found(tmp_path, [{"prompt": f"q {n}", "candidates": answers} for n in range(8)])
    assert data.pairs == 8
    assert any("one family of models" in line for line in data.notes)
    assert any("longer one in 0% of these pairs, and in 50% across" in line for line in data.notes)


def test_a_row_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    row: dict[str, object] = {"prompt": "q", "chosen": "a", "rejected": "b"}
    data = found(tmp_path, [row, row, {**row, "rejected": 3}])
    assert len(data.rows) == 1
    assert "2 of 3 rows are used: 1 pairs of 1 prompts" in data.notes
    assert any("left out: 1 row: rejected is neither" in line for line in data.notes)


def test_a_column_of_aspects_is_told_and_its_prompts_are_part_of_every_length() -> None:
    encoder = Encoder(make_tokenizer(), max_tokens=10_000, pad_id=None)
    file = ROOT / "examples/data/criteria.jsonl"
    data = read_data(file, encoder, name="data", kind="", named={}, max_pairs=16)
    (note,) = [line for line in data.notes if "column aspect" in line]
    assert "correctness (48), readability (48)" in note
    assert note.split("; ")[0] in " ".join((ROOT / "docs/criteria.md").read_text().split())
    assert data.criteria == {name: STANDARD[name] for name in ("correctness", "readability")}
    plain = encode_rows([replace(row, aspect="") for row in data.rows], encoder)
    assert min(data.tokens) > min(row.chosen.tokens for row in plain) + 20


def test_an_aspect_without_a_criterion_is_refused_before_the_plan(tmp_path: Path) -> None:
    row: dict[str, object] = {"prompt": "q", "chosen": "a", "rejected": "b", "aspect": "taste"}
    with pytest.raises(StageError, match="the aspect 'taste', and no criterion has this name"):
        found(tmp_path, [row])
