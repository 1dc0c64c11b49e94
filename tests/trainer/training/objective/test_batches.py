from dataclasses import replace
from pathlib import Path

from reward_model.text.encoding import Encoder
from tests.trainer.training.objective.rows import ROWS, batch_of, load
from trainer.pairs.row import PreferenceRow, conversation
from trainer.training.objective.batches import Totals


def test_shared_prefixes_are_computed_once(checkpoint: Path) -> None:
    _, encoder = load(checkpoint)
    batch = batch_of(ROWS, encoder)
    texts = [
        encoder.encode(conversation(row.prompt, text)).ids
        for row in ROWS
        for text in (row.chosen, *(c.text for c in row.rejected))
    ]
    nodes = {ids[: end + 1] for ids in texts for end in range(len(ids))}
    assert len(batch.packed.ids) == len(nodes)


def test_totals_count_pairs_and_predicted_tokens(checkpoint: Path) -> None:
    _, encoder = load(checkpoint)
    batch = batch_of([replace(row, weight=0.5) for row in ROWS], encoder)
    assert batch.totals == Totals(pairs=2.0, lm=0.5 * len(batch.lm_at))


def test_tokens_are_compared_from_where_the_texts_part(checkpoint: Path) -> None:
    _, encoder = load(checkpoint)
    row = ROWS[0]
    batch = batch_of([row], encoder)
    chosen = _ids(encoder, row)
    for (left, right), rival in zip(batch.tokens, row.rejected, strict=True):
        other = encoder.encode(conversation(row.prompt, rival.text)).ids
        parting = next(i for i, (a, b) in enumerate(zip(chosen, other, strict=False)) if a != b)
        count = min(len(chosen), len(other)) - parting
        assert [batch.packed.ids[index] for index in left] == list(chosen[parting:][:count])
        assert [batch.packed.ids[index] for index in right] == list(other[parting:][:count])


def _ids(encoder: Encoder, row: PreferenceRow) -> tuple[int, ...]:
    return encoder.encode(conversation(row.prompt, row.chosen)).ids
