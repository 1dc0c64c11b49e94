from trainer.evaluation.measures.estimate import Estimate
from trainer.evaluation.measures.table import Table


def test_a_row_that_counts_nothing_is_left_out() -> None:
    nothing, half = Estimate(float("nan"), 0.0, 1.0, 0), Estimate(0.5, 0.0, 1.0, 4)
    table = Table("t", "", {"a": {"model": nothing}, "b": {"model": half}})
    assert list(table.measured().rows) == ["b"]
