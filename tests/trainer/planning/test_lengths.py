from pathlib import Path

from trainer.pairs.row import PreferenceRow, Rejected, write_pairs
from trainer.pipeline.stage import writing_stage
from trainer.planning.lengths import Lengths, assumed, measured
from trainer.training.base import BaseConfig


def test_a_prompt_is_computed_once() -> None:
    lengths = Lengths(prompt=100, answer=50, rejected=3, rows=None, held_out=0, source="")
    assert lengths.computed() == 300
    assert lengths.computed(with_rejected=False) == 150
    assert lengths.seen(with_rejected=False) == 150**2 / 2


def test_lengths_are_measured_where_the_rows_are(tmp_path: Path) -> None:
    rows = [
        PreferenceRow(str(i), "g", "p" * 35, "c" * 70, (Rejected("m", "r" * 140),))
        for i in range(9)
    ]
    with writing_stage(BaseConfig(), tmp_path / "pairs") as draft:
        write_pairs(draft.path, "train", rows, 100)
    found = measured(tmp_path / "pairs", None)
    assert found
    assert (found.prompt, found.answer, found.rejected, found.rows) == (10, 30, 1, 9)
    assert measured(tmp_path / "nothing", None) is None
    assert assumed(1, 10, 100).computed() <= 200
