"""One packed forward trains as separate forwards would: same terms, same gradients."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from reward_model.text.encoding import Encoder
from tests.checkpoints import make_checkpoint
from tests.trainer.training.gradients import assert_same_gradients, gradients
from trainer.pairs.row import PreferenceRow, Rejected, Request, conversation
from trainer.training.objective.batches import Collator, Totals
from trainer.training.objective.joint import JointModel
from trainer.training.objective.loss import LossWeights
from trainer.training.weights.start import load_start

ROWS = [
    PreferenceRow(
        "1",
        "p",
        "add two numbers",
        "def add(a, b): return a + b",
        (Rejected("mutant", "def add(a, b): return a - b"), Rejected("truncated", "def add(a,")),
    ),
    PreferenceRow(
        "2", "p", "add two numbers", "def add(a, b):", (Rejected("other_function", "fox"),)
    ),
    PreferenceRow("3", "p", "the quick fox", "jumps", (Rejected("repeated", "jumps jumps jumps"),)),
]


@pytest.fixture(params=["qwen2", "llama"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_checkpoint(tmp_path, request.param, tie_word_embeddings=True)


def load(checkpoint: Path) -> tuple[PreTrainedModel, Encoder]:
    start = load_start(checkpoint, seed=1, with_lm=True)
    return start.model, Encoder(start.tokenizer, max_tokens=512, pad_id=None)


def separate(model: PreTrainedModel, encoder: Encoder) -> tuple[Tensor, Tensor, Tensor]:
    """The two terms as the paper writes them, and the token term, one text at a time."""
    margins, losses, tokens = [], [], []
    for row in ROWS:
        chosen = _score(model, encoder, row.prompt, row.chosen)
        margins += [chosen - _score(model, encoder, row.prompt, c.text) for c in row.rejected]
        losses += list(_token_losses(model, encoder, row))
        tokens += [_token_term(model, encoder, row, rival.text) for rival in row.rejected]
    rank = -logsigmoid(torch.stack(margins)).mean()
    return rank, torch.stack(losses).mean(), torch.stack(tokens).mean()


def _token_term(model: PreTrainedModel, encoder: Encoder, row: PreferenceRow, rival: str) -> Tensor:
    """Mean over the tokens from where two texts part, as many as the shorter has."""
    texts = [encoder.encode(conversation(row.prompt, t)).ids for t in (row.chosen, rival)]
    parting = next(i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b)
    end = min(map(len, texts))
    left, right = (_token_scores(model, ids)[parting:end] for ids in texts)
    return -logsigmoid(left - right).mean()


def _score(model: PreTrainedModel, encoder: Encoder, prompt: Request, answer: str) -> Tensor:
    ids = encoder.encode(conversation(prompt, answer)).ids
    logits: Tensor = model(input_ids=torch.tensor([ids])).logits
    return logits[0, 0]


def _token_losses(model: PreTrainedModel, encoder: Encoder, row: PreferenceRow) -> Iterator[Tensor]:
    ids = encoder.encode(conversation(row.prompt, row.chosen)).ids
    prompt = f"<|user|>\n{row.prompt}<|end|>\n<|assistant|>\n"
    start = len(encoder._parsing.encode(prompt, add_special_tokens=False).ids)
    hidden = model.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    logits = hidden @ model.get_input_embeddings().weight.T
    yield from cross_entropy(logits[start - 1 : -1], torch.tensor(ids[start:]), reduction="none")


@pytest.mark.parametrize("weights", [LossWeights(), LossWeights(rank=1.0, lm=0.3, tokens=1.0)])
def test_terms_and_gradients_equal_separate_forwards(
    checkpoint: Path, weights: LossWeights
) -> None:
    packed, encoder = load(checkpoint)
    loss = JointModel(packed, weights)(Collator(encoder).batch(ROWS))
    loss.total(weights).backward()

    plain = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    rank, lm, tokens = separate(plain, encoder)
    (weights.rank * rank + weights.lm * lm + weights.tokens * tokens).backward()

    torch.testing.assert_close(loss.rank, rank, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.lm, lm, rtol=1e-5, atol=1e-6)
    if weights.tokens:
        torch.testing.assert_close(loss.tokens, tokens, rtol=1e-5, atol=1e-6)
    assert_same_gradients(gradients(packed), gradients(plain))


def test_recomputed_activations_give_the_same_gradients(checkpoint: Path) -> None:
    weights = LossWeights(tokens=1.0)
    kept, encoder = load(checkpoint)
    again, _ = load(checkpoint)
    again.activation_checkpointing_enable({"use_reentrant": False})
    batch = Collator(encoder).batch(ROWS)
    for model in (kept, again):
        JointModel(model, weights).train()(batch).total(weights).backward()
    assert_same_gradients(gradients(again), gradients(kept))


def test_parts_of_a_step_add_up_to_the_whole(checkpoint: Path) -> None:
    """Though they have other numbers of pairs and tokens."""
    weights = LossWeights(tokens=0.5, centring=0.1, margin=1.0)
    whole, encoder = load(checkpoint)
    parts, _ = load(checkpoint)
    collator = Collator(encoder)
    rows = [replace(row, weight=weight) for row, weight in zip(ROWS, (1.0, 0.25, 2.0), strict=True)]
    batch = collator.batch(rows)
    JointModel(whole, weights)(batch).total(weights).backward()
    for part in (rows[:1], rows[1:]):
        JointModel(parts, weights)(collator.batch(part), batch.totals).total(weights).backward()
    assert_same_gradients(gradients(parts), gradients(whole))


def test_a_pair_weighs_as_often_as_its_weight_says(checkpoint: Path) -> None:
    weights = LossWeights(tokens=1.0, centring=0.1)
    model, encoder = load(checkpoint)
    joint, collator = JointModel(model, weights), Collator(encoder)
    heavy = joint(collator.batch([replace(ROWS[0], weight=3.0), *ROWS[1:]])).total(weights)
    often = joint(collator.batch([ROWS[0], ROWS[0], ROWS[0], *ROWS[1:]])).total(weights)
    torch.testing.assert_close(heavy, often)


def test_a_margin_is_what_a_pair_must_clear(checkpoint: Path) -> None:
    model, encoder = load(checkpoint)
    rival = replace(ROWS[1].rejected[0], margin=0.75)
    batch = Collator(encoder).batch([replace(ROWS[1], rejected=(rival,))])
    loss = JointModel(model, LossWeights(margin=2.0))(batch)
    torch.testing.assert_close(loss.rank, -logsigmoid(loss.differences[0] - 1.5))


def test_an_output_embedding_of_its_own_is_used_and_trained(checkpoint: Path) -> None:
    model, encoder = load(checkpoint)
    output = nn.Parameter(torch.randn(model.config.vocab_size, model.config.hidden_size))
    batch = Collator(encoder).batch(ROWS)
    loss = JointModel(model, LossWeights(rank=0.0), output)(batch)
    loss.lm.backward()
    assert output.grad is not None
    assert output.grad.abs().sum() > 0
    tied = JointModel(model, LossWeights(rank=0.0))(batch)
    assert tied.lm != loss.lm


def test_shared_prefixes_are_computed_once(checkpoint: Path) -> None:
    _, encoder = load(checkpoint)
    batch = Collator(encoder).batch(ROWS)
    texts = [
        encoder.encode(conversation(row.prompt, text)).ids
        for row in ROWS
        for text in (row.chosen, *(c.text for c in row.rejected))
    ]
    nodes = {ids[: end + 1] for ids in texts for end in range(len(ids))}
    assert len(batch.packed.ids) == len(nodes)


def test_a_warm_up_has_no_pairs_and_no_ranking_loss(checkpoint: Path) -> None:
    model, encoder = load(checkpoint)
    batch = Collator(encoder, with_rejected=False, lm_on_prompt=True).batch(ROWS)
    loss = JointModel(model, LossWeights(rank=0.0))(batch)
    assert len(loss.differences) == 0
    assert loss.rank == 0
    chosen = [_ids(encoder, row) for row in ROWS]
    assert batch.lm_targets == [token for ids in chosen for token in ids[1:]]


def test_the_head_and_the_backbone_both_learn(checkpoint: Path) -> None:
    model, encoder = load(checkpoint)
    weights = LossWeights(lm=0.0)
    JointModel(model, weights)(Collator(encoder).batch(ROWS)).total(weights).backward()
    assert all(gradient.abs().sum() > 0 for gradient in gradients(model).values())


def test_totals_count_pairs_and_predicted_tokens(checkpoint: Path) -> None:
    _, encoder = load(checkpoint)
    batch = Collator(encoder).batch([replace(row, weight=0.5) for row in ROWS])
    assert batch.totals == Totals(pairs=2.0, lm=0.5 * len(batch.lm_at))


def test_tokens_are_compared_from_where_the_texts_part(checkpoint: Path) -> None:
    _, encoder = load(checkpoint)
    row = ROWS[0]
    batch = Collator(encoder).batch([row])
    chosen = _ids(encoder, row)
    for (left, right), rival in zip(batch.tokens, row.rejected, strict=True):
        other = encoder.encode(conversation(row.prompt, rival.text)).ids
        parting = next(i for i, (a, b) in enumerate(zip(chosen, other, strict=False)) if a != b)
        count = min(len(chosen), len(other)) - parting
        assert [batch.packed.ids[index] for index in left] == list(chosen[parting:][:count])
        assert [batch.packed.ids[index] for index in right] == list(other[parting:][:count])


def _ids(encoder: Encoder, row: PreferenceRow) -> tuple[int, ...]:
    return encoder.encode(conversation(row.prompt, row.chosen)).ids


def _token_scores(model: PreTrainedModel, ids: tuple[int, ...]) -> Tensor:
    """Scores of the plain forward at every token."""
    hidden = model.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    assert isinstance(model.score, nn.Linear)
    scores: Tensor = hidden @ model.score.weight[0]
    return scores
