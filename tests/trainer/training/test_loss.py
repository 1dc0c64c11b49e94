"""One packed forward trains as separate forwards would: same terms, same gradients."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from reward_model.encoding import Encoder
from tests.checkpoints import make_checkpoint
from trainer.pairs.row import Candidate, Pairs, Request, conversation
from trainer.stage import StageError
from trainer.training.batches import Collator
from trainer.training.loss import JointLoss, LossWeights, joint_loss, ranking_loss
from trainer.training.pretrain import load_checkpoint

ROWS = [
    Pairs(
        "1",
        "p",
        "add two numbers",
        "def add(a, b): return a + b",
        (Candidate("mutant", "def add(a, b): return a - b"), Candidate("truncated", "def add(a,")),
    ),
    Pairs("2", "p", "add two numbers", "def add(a, b):", (Candidate("other_function", "fox"),)),
    Pairs("3", "p", "the quick fox", "jumps", (Candidate("repeated", "jumps jumps jumps"),)),
]


@pytest.fixture(params=["qwen2", "llama"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_checkpoint(tmp_path, request.param, tie_word_embeddings=True)


def gradients(model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


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


def _token_term(model: PreTrainedModel, encoder: Encoder, row: Pairs, rival: str) -> Tensor:
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


def _token_losses(model: PreTrainedModel, encoder: Encoder, row: Pairs) -> Iterator[Tensor]:
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
    packed, tokenizer = load_checkpoint(checkpoint)
    encoder = Encoder(tokenizer, max_tokens=512, pad_id=None)
    loss = joint_loss(packed, Collator(encoder).batch(ROWS))
    loss.total(weights).backward()

    plain = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    rank, lm, tokens = separate(plain, encoder)
    (weights.rank * rank + weights.lm * lm + weights.tokens * tokens).backward()

    torch.testing.assert_close(loss.rank, rank, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.lm, lm, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.tokens, tokens, rtol=1e-5, atol=1e-6)
    expected = gradients(plain)
    scale = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in gradients(packed).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-5 * scale)
    assert gradients(packed).keys() == expected.keys()


def test_shared_prefixes_are_computed_once(checkpoint: Path) -> None:
    _, tokenizer = load_checkpoint(checkpoint)
    encoder = Encoder(tokenizer, max_tokens=512, pad_id=None)
    batch = Collator(encoder).batch(ROWS)
    texts = [
        encoder.encode(conversation(row.prompt, text)).ids
        for row in ROWS
        for text in (row.chosen, *(c.text for c in row.rejected))
    ]
    nodes = {ids[: end + 1] for ids in texts for end in range(len(ids))}
    assert len(batch.packed.ids) == len(nodes)


def test_a_warm_up_has_no_pairs_and_no_ranking_loss(checkpoint: Path) -> None:
    model, tokenizer = load_checkpoint(checkpoint)
    encoder = Encoder(tokenizer, max_tokens=512, pad_id=None)
    batch = Collator(encoder, with_rejected=False, lm_on_prompt=True).batch(ROWS)
    loss = joint_loss(model, batch)
    assert len(loss.margins) == 0
    assert loss.rank == 0
    chosen = [encoder.encode(conversation(row.prompt, row.chosen)).ids for row in ROWS]
    assert batch.lm_targets == [token for ids in chosen for token in ids[1:]]


def test_the_head_and_the_backbone_both_learn(checkpoint: Path) -> None:
    model, tokenizer = load_checkpoint(checkpoint)
    encoder = Encoder(tokenizer, max_tokens=512, pad_id=None)
    joint_loss(model, Collator(encoder).batch(ROWS)).total(LossWeights(lm=0.0)).backward()
    assert all(gradient.abs().sum() > 0 for gradient in gradients(model).values())


def test_ties_count_half_and_cost_log_two() -> None:
    assert ranking_loss(torch.zeros(3)).item() == pytest.approx(0.6931, abs=1e-4)
    none = torch.tensor(0.0)
    loss = JointLoss(rank=none, lm=none, tokens=none, margins=torch.tensor([1.0, 0.0, -1.0, 0.0]))
    assert loss.accuracy.item() == 0.5


def test_texts_over_the_limit_are_left_out_and_counted(checkpoint: Path) -> None:
    _, tokenizer = load_checkpoint(checkpoint)
    encoder = Encoder(tokenizer, max_tokens=4096, pad_id=None)
    shortest = len(encoder.encode(conversation(ROWS[2].prompt, ROWS[2].chosen)).ids)
    collator = Collator(Encoder(tokenizer, max_tokens=shortest, pad_id=None))
    batch = collator.batch(ROWS)
    assert collator.counts == {"chosen: too long": 2, "repeated: too long": 1}
    assert (len(batch.score_at), batch.chosen) == (1, [])


def test_a_batch_of_which_nothing_fits_says_what_to_do(checkpoint: Path) -> None:
    _, tokenizer = load_checkpoint(checkpoint)
    collator = Collator(Encoder(tokenizer, max_tokens=3, pad_id=None))
    with pytest.raises(StageError, match="3 tokens"):
        collator.batch(ROWS)


def test_tokens_are_compared_from_where_the_texts_part(checkpoint: Path) -> None:
    _, tokenizer = load_checkpoint(checkpoint)
    encoder = Encoder(tokenizer, max_tokens=512, pad_id=None)
    row = ROWS[0]
    batch = Collator(encoder).batch([row])
    chosen = encoder.encode(conversation(row.prompt, row.chosen)).ids
    for (left, right), rival in zip(batch.tokens, row.rejected, strict=True):
        other = encoder.encode(conversation(row.prompt, rival.text)).ids
        parting = next(i for i, (a, b) in enumerate(zip(chosen, other, strict=False)) if a != b)
        count = min(len(chosen), len(other)) - parting
        assert [batch.packed.ids[index] for index in left] == list(chosen[parting:][:count])
        assert [batch.packed.ids[index] for index in right] == list(other[parting:][:count])


def _token_scores(model: PreTrainedModel, ids: tuple[int, ...]) -> Tensor:
    """Scores of the plain forward at every token."""
    hidden = model.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    assert isinstance(model.score, nn.Linear)
    scores: Tensor = hidden @ model.score.weight[0]
    return scores
