import pytest

from codepmp_client.bulk.columns import RowInput
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.ledger import row_key
from codepmp_client.bulk.server_arguments import read_criteria
from codepmp_client.inputs import Options


def test_criteria_are_names_or_names_with_weights() -> None:
    assert read_criteria(None) is None
    assert read_criteria("a, b c") == ["a", "b c"]
    assert read_criteria("a=1, b=-0.5") == {"a": 1.0, "b": -0.5}
    assert read_criteria("a=b=2") == {"a=b": 2.0}


@pytest.mark.parametrize("text", ["", "a,", "a=1,b", "a=x", "=1", "a=nan", "a=inf"])
def test_criteria_that_are_half_weighted_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="names that all have a weight"):
        read_criteria(text)


def test_scores_by_other_criteria_are_other_scores_of_a_row() -> None:
    row = RowInput("prompt", ("a",))
    options = [Options(), Options(criteria=["a"]), Options(criteria={"a": 1.0})]
    assert len({row_key(row, one) for one in options}) == 3
