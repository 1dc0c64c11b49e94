"""Accuracy on multiple choice: every option is scored, and the right one must score highest."""

from trainer.evaluation.measures.estimate import Resampling
from trainer.evaluation.measures.scored import CONTENDERS, ScoredQuestion, split_by_source
from trainer.evaluation.measures.subsets import best_is_right
from trainer.evaluation.measures.table import Table


def accuracy_by_source(scored: list[ScoredQuestion], resampling: Resampling) -> Table:
    """A row for all questions, and one for each data set."""
    parts = {"overall": scored}
    parts |= {source: items for source, items in split_by_source(scored).items() if source}
    rows = {
        name: {each: best_is_right(items, each).estimate(resampling) for each in CONTENDERS}
        for name, items in parts.items()
    }
    what = "share of questions whose key scores higher than every other option; ties share"
    return Table("accuracy", what, rows, plot="bars")
