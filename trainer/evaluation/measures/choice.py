"""Multiple choice: every option is scored, and the key must be the best."""

from trainer.evaluation.measures.estimate import Resampling
from trainer.evaluation.measures.judged import CONTENDERS, ScoredQuestion, sources
from trainer.evaluation.measures.parts import best_right
from trainer.evaluation.measures.table import Row, Table


def by_source(judged: list[ScoredQuestion], how: Resampling) -> Table:
    """A row for all questions, and one for each data set."""
    parts = {source: of for source, of in sources(judged).items() if source}
    return Table(
        "accuracy",
        "share of questions whose key scores higher than every other option; ties share",
        {name: accuracy(of, how) for name, of in ({"overall": judged} | parts).items()},
        plot="bars",
    )


def accuracy(judged: list[ScoredQuestion], how: Resampling) -> Row:
    """Share of questions whose best answer is a right one."""
    return {name: best_right(judged, name).alone(how) for name in CONTENDERS}
