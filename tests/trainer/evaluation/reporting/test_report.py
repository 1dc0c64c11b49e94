from pathlib import Path

import pytest

from tests.trainer.evaluation.reporting.reports import KINDS, report
from trainer.evaluation.reporting.report import Report, read, write
from trainer.pipeline.stage import StageError


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(report(KINDS), tmp_path)
    assert read(tmp_path) == report(KINDS)
    assert read(tmp_path).tasks[0].table("by kind") == KINDS


@pytest.mark.parametrize("text", ['{"version": 1, "what": "pairs"}', "[]", "no JSON"])
def test_another_format_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(StageError, match="run `evaluate` again"):
        read(tmp_path)


def test_a_report_without_pairs_has_no_headline() -> None:
    with pytest.raises(StageError, match="no task on pairs"):
        _ = Report("finetune", "model 1", []).headline
