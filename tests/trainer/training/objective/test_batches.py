from dataclasses import replace
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from reward_model.packing import Sequence, pack
from reward_model.text.encoding import Encoder
from tests.trainer.training.objective.rows import ROWS, batch_of, load
from trainer.pairs.row import PreferenceRow, conversation
from trainer.training.objective.batches import Totals, training_tree


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


def test_on_a_cpu_batches_have_few_lengths() -> None:
    lengths = set()
    for length in range(1, 2049):
        tree = training_tree(pack([Sequence((5,) * length, (length - 1,))]), torch.device("cpu"))
        assert length <= len(tree.packed.ids) < length + max(16, length / 8)
        lengths.add(len(tree.packed.ids))
    assert len(lengths) < 100


@given(st.integers(1, 40), st.integers(1, 40))
def test_padding_changes_no_index_that_a_loss_reads(one: int, other: int) -> None:
    packed = pack([Sequence((1,) * one + (2,), (one,)), Sequence((1,) * other + (3,), (0, other))])
    tree = training_tree(packed, torch.device("cpu"))
    assert tree.packed.reads == packed.reads
    assert tree.packed.ids[: len(packed.ids)] == packed.ids
    assert tree.packed.subtree_end[: len(packed.ids)] == packed.subtree_end


def _ids(encoder: Encoder, row: PreferenceRow) -> tuple[int, ...]:
    return encoder.encode(conversation(row.prompt, row.chosen)).ids
