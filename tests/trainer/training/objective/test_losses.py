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
from tests.trainer.training.gradients import assert_same_gradients, gradients
from tests.trainer.training.objective.rows import ROWS, batch_of, load
from trainer.pairs.encoded import encode_rows
from trainer.pairs.row import PreferenceRow, Request, conversation
from trainer.training.objective.batches import Collator
from trainer.training.objective.joint import JointModel
from trainer.training.objective.losses import LossWeights


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
    loss = JointModel(packed, weights)(batch_of(ROWS, encoder))
    loss.total.backward()

    plain = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    rank, lm, tokens = separate(plain, encoder)
    (weights.rank * rank + weights.lm * lm + weights.tokens * tokens).backward()

    torch.testing.assert_close(loss.terms["rank"], rank, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.terms["lm"], lm, rtol=1e-5, atol=1e-6)
    if weights.tokens:
        torch.testing.assert_close(loss.terms["tokens"], tokens, rtol=1e-5, atol=1e-6)
    assert_same_gradients(gradients(packed), gradients(plain))


def test_a_pair_weighs_as_often_as_its_weight_says(checkpoint: Path) -> None:
    weights = LossWeights(tokens=1.0, centering=0.1)
    model, encoder = load(checkpoint)
    joint = JointModel(model, weights)
    heavy = joint(batch_of([replace(ROWS[0], weight=3.0), *ROWS[1:]], encoder)).total
    often = joint(batch_of([ROWS[0], ROWS[0], ROWS[0], *ROWS[1:]], encoder)).total
    torch.testing.assert_close(heavy, often)


def test_a_margin_is_what_a_pair_must_clear(checkpoint: Path) -> None:
    model, encoder = load(checkpoint)
    rival = replace(ROWS[1].rejected[0], margin=0.75)
    batch = batch_of([replace(ROWS[1], rejected=(rival,))], encoder)
    loss = JointModel(model, LossWeights(margin=2.0))(batch)
    torch.testing.assert_close(loss.terms["rank"], -logsigmoid(loss.differences[0] - 1.5))


def test_a_warm_up_has_no_pairs_and_no_ranking_loss(checkpoint: Path) -> None:
    model, encoder = load(checkpoint)
    bare = [replace(row, rejected=()) for row in ROWS]
    batch = Collator(lm_on_prompt=True).batch(encode_rows(bare, encoder))
    loss = JointModel(model, LossWeights(rank=0.0))(batch)
    assert len(loss.differences) == 0
    assert loss.terms["rank"] == 0
    chosen = [_ids(encoder, row) for row in ROWS]
    assert batch.lm_targets == [token for ids in chosen for token in ids[1:]]


def _ids(encoder: Encoder, row: PreferenceRow) -> tuple[int, ...]:
    return encoder.encode(conversation(row.prompt, row.chosen)).ids


def _token_scores(model: PreTrainedModel, ids: tuple[int, ...]) -> Tensor:
    """Scores of the plain forward at every token."""
    hidden = model.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    assert isinstance(model.score, nn.Linear)
    scores: Tensor = hidden @ model.score.weight[0]
    return scores
