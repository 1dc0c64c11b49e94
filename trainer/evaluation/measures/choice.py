"""Multiple choice: every option is scored, and the key must be the best."""

from trainer.evaluation.measures.best_of_n import top
from trainer.evaluation.measures.estimate import Resampling, share
from trainer.evaluation.measures.judged import CONTENDERS, Contender, Judged
from trainer.evaluation.reporting.report import Row, Table


def by_source(judged: list[Judged], how: Resampling) -> Table:
    """A row for all questions, and one for each data set."""
    sources = sorted({item.question.source for item in judged} - {""})
    parts = {source: [i for i in judged if i.question.source == source] for source in sources}
    return Table(
        "accuracy",
        "share of questions whose key scores higher than every other option; ties share",
        {name: accuracy(of, how) for name, of in ({"overall": judged} | parts).items()},
        plot="bars",
    )


def accuracy(judged: list[Judged], how: Resampling) -> Row:
    """Share of questions whose best answer is a right one."""
    groups = [item.question.group for item in judged]

    def ranked(contender: Contender) -> list[float]:
        return [top(contender(item), item.question.correct) for item in judged]

    return {name: share(groups, ranked(by), how) for name, by in CONTENDERS.items()}
