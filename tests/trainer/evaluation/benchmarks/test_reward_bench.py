import json
from pathlib import Path

import pytest

from tests.trainer.evaluation.made import RESAMPLING
from trainer.evaluation.benchmarks.reward_bench import (
    SECTIONS,
    read_questions,
    tables,
    weighted_subsets,
)
from trainer.evaluation.measures.scored import ScoredQuestion
from trainer.pipeline.stage import StageError


def rows(**counts: int) -> list[dict[str, object]]:
    """Rows of the documented columns; keys are subsets with `_` for `-`."""
    subsets = [name.replace("_", "-") for name, count in counts.items() for _ in range(count)]
    return [
        {
            "prompt": f"question {number}",
            "chosen": "yes",
            "chosen_model": "human",
            "rejected": "no",
            "rejected_model": "gpt",
            "subset": subset,
            "id": number,
        }
        for number, subset in enumerate(subsets)
    ]


def judged(folder: Path, written: list[dict[str, object]], right: set[str]) -> list[ScoredQuestion]:
    """Subsets in `right` are ranked right, all others wrong."""
    file = folder / "filtered.jsonl"
    file.write_text("\n".join(map(json.dumps, written)))
    return [
        ScoredQuestion(q, (1.0, 0.0) if q.source in right else (0.0, 1.0))
        for q in read_questions(file)
    ]


def test_subsets_count_by_rows_and_math_as_much_as_all_code(tmp_path: Path) -> None:
    written = rows(math_prm=3, hep_cpp=4, hep_go=4, alpacaeval_easy=6, mt_bench_med=2)
    sections, subsets = tables(judged(tmp_path, written, {"math-prm", "mt-bench-med"}), RESAMPLING)
    figures = {name: row["model"].value for name, row in sections.rows.items()}
    assert figures == pytest.approx({"overall": 0.375, "Chat": 0.25, "Reasoning": 0.5})
    assert subsets.rows["math-prm"]["model"].n == 3
    assert sections.rows["Chat"]["random"].value == 0.5
    assert sections.rows["Chat"]["length_only"].value == 1.0


def test_the_weights_on_the_whole_set_are_the_published_ones(tmp_path: Path) -> None:
    """164 rows in each of six languages; math, of 447, stands for 984."""
    languages = ("cpp", "go", "java", "js", "python", "rust")
    written = rows(math_prm=447, **{f"hep_{language}": 164 for language in languages})
    parts = weighted_subsets(judged(tmp_path, written, set()), "model")
    assert {name: part.weight for name, part in parts.items()} == {
        "math-prm": 984.0,
        **{f"hep-{language}": 164.0 for language in languages},
    }
    assert sum(map(len, SECTIONS.values())) == 23


def test_a_subset_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="'new-one' is no subset"):
        judged(tmp_path, rows(new_one=1), set())
