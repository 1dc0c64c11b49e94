"""What engines say about themselves does not change behind the scheduler's back."""

from dataclasses import FrozenInstanceError, replace

import pytest

from tests.service.fakes import FakeEngine


@pytest.mark.parametrize(
    ("part", "name"), [("facts", "max_tokens"), ("batching", "memory_limit_tokens")]
)
def test_facts_and_hints_are_replaced_as_a_whole(part: str, name: str) -> None:
    engine = FakeEngine()
    before = getattr(engine, part)
    with pytest.raises(FrozenInstanceError):
        setattr(before, name, 7)
    setattr(engine, part, replace(before, **{name: 7}))
    assert getattr(before, name) != getattr(getattr(engine, part), name) == 7
