"""Every format of the union keeps the protocol."""

from typing import get_args, get_type_hints

import pytest

from trainer.preferences.formats.format import Format
from trainer.preferences.source import PreferenceSource
from trainer.tables.record import Record, Unusable

FORMATS: list[Format] = [each() for each in get_args(get_type_hints(PreferenceSource)["format"])]


def test_formats_are_told_apart_by_their_kind() -> None:
    assert len({each.kind for each in FORMATS}) == len(FORMATS) > 1


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: str(each.kind))
def test_a_row_of_nonsense_is_unusable_with_a_reason(each: Format) -> None:
    assert each.columns
    nonsense: Record = dict.fromkeys(each.columns, 3)
    with pytest.raises(Unusable) as refusal:
        each.rate(nonsense)
    assert str(refusal.value)
