from collections import Counter
from dataclasses import replace

import pytest

from reward_model.text.encoding import Encoder
from tests.checkpoints import make_tokenizer
from tests.trainer.training.stages import rows
from trainer.pairs.encoded import encode_rows
from trainer.pairs.row import PreferenceRow, conversation
from trainer.pipeline.stage import StageError
from trainer.training.objective.fitting import fitting

LONG = "def add(a, b): return a + b " * 20


def encoder(limit: int) -> Encoder:
    return Encoder(make_tokenizer(), max_tokens=limit, pad_id=None)


def longest(pairs: list[PreferenceRow]) -> int:
    texts = [
        (row.prompt, t) for row in pairs for t in (row.chosen, *(c.text for c in row.rejected))
    ]
    return max(len(encoder(10_000).encode(conversation(*text)).ids) for text in texts)


def test_what_is_too_long_is_left_out_and_counted_by_kind() -> None:
    short = rows(4)
    rival = replace(short[1].rejected[0], text=LONG)
    given = [
        replace(short[0], chosen=LONG),
        replace(short[1], rejected=(rival, short[1].rejected[1])),
        *short[2:],
    ]
    counts: Counter[str] = Counter()
    limited = encoder(longest(short))
    kept = fitting(encode_rows(given, limited), counts, pairs_only=True)
    assert counts == {"chosen: too long": 1, "mutant: too long": 1, "other: too long": 0}
    left = [replace(short[1], rejected=short[1].rejected[1:]), *short[2:]]
    assert kept == encode_rows(left, limited)


@pytest.mark.parametrize("pairs_only", [True, False])
def test_a_row_without_rejected_answers_is_for_language_modelling_alone(pairs_only: bool) -> None:
    bare = replace(rows(1)[0], rejected=())
    given = [bare, *rows(2)]
    counts: Counter[str] = Counter()
    kept = fitting(encode_rows(given, encoder(512)), counts, pairs_only=pairs_only)
    assert len(kept) == len(given) - pairs_only
    assert counts["row: nothing rejected"] == pairs_only


def test_when_nothing_fits_it_says_what_to_do() -> None:
    with pytest.raises(StageError, match="raise max_length"):
        fitting(encode_rows(rows(3), encoder(3)), Counter(), pairs_only=False)


def test_a_row_that_the_template_refuses_stops_training() -> None:
    refused = replace(encode_rows(rows(1), encoder(512))[0], refused="roles do not alternate")
    with pytest.raises(StageError, match="row-0 cannot be trained on: roles do not alternate"):
        fitting([refused], Counter(), pairs_only=False)
