"""Expressions evaluate to the values that they stand for."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given

from tests.trainer.feedback.test_compare import VALUES
from trainer.feedback.compare import equal_values
from trainer.feedback.expression import expression_of
from trainer.feedback.sandbox.values import Drained


@given(VALUES)
def test_an_expression_evaluates_to_its_value(value: object) -> None:
    assert equal_values(eval(expression_of(value)), value)  # noqa: S307 (values of this test)


def test_what_repr_writes_as_something_else() -> None:
    assert math.isnan(eval(expression_of([math.nan]))[0])  # noqa: S307
    assert eval(expression_of((set(), frozenset({1}), (1,), ()))) == (  # noqa: S307
        set(),
        frozenset({1}),
        (1,),
        (),
    )
    assert list(eval(expression_of(Drained([1])))) == [1]  # noqa: S307
    assert eval(expression_of(timedelta(1, 2))) == timedelta(1, 2)  # noqa: S307
    moment = datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert eval(expression_of(moment), {}) == moment  # noqa: S307
    assert eval(expression_of(-(10**5000))) == -(10**5000)  # noqa: S307


def test_other_objects_have_no_expression() -> None:
    with pytest.raises(ValueError, match="object"):
        expression_of([object()])
