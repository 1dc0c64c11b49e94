"""What the arms of the engine benchmark score differs in nothing but shared prefixes."""

import pytest

from benchmarks.inputs.workloads import BATCH, LONGEST, SHAPES, Shape, make_workload
from reward_model.packing import Sequence, new_tokens

_VOCABULARY = list(range(10, 500))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("varied", [True, False])
def test_arms_get_texts_of_the_same_lengths(shape: Shape, varied: bool) -> None:
    work = make_workload(shape, varied, _VOCABULARY)
    lengths = [[len(text) for text in batch] for batch in work.shared]
    assert lengths == [[len(text) for text in batch] for batch in work.distinct]
    flat = [length for batch in lengths for length in batch]
    assert len(flat) == BATCH
    assert max(flat) <= LONGEST
    assert (len(set(flat)) > 1) == varied


def test_only_texts_that_should_share_a_prefix_do() -> None:
    work = make_workload(Shape(50, 16, 20), False, _VOCABULARY)
    assert _computed(work.shared[0]) <= 50 + 16 * 20
    assert _computed(work.distinct[0]) == 16 * (50 + 20)


def _computed(texts: list[tuple[int, ...]]) -> int:
    return sum(new_tokens([Sequence(text, (len(text) - 1,)) for text in texts]))
