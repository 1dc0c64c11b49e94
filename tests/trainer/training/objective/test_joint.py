from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from tests.trainer.training.gradients import assert_same_gradients, gradients
from tests.trainer.training.objective.rows import ROWS, batch_of, load
from trainer.training.objective.joint import JointModel
from trainer.training.objective.losses import TERMS, LossWeights


def test_recomputed_activations_give_the_same_gradients(checkpoint: Path) -> None:
    weights = LossWeights(tokens=1.0)
    kept, encoder = load(checkpoint)
    again, _ = load(checkpoint)
    again.activation_checkpointing_enable({"use_reentrant": False})
    batch = batch_of(ROWS, encoder)
    for model in (kept, again):
        JointModel(model, weights).train()(batch).total.backward()
    assert_same_gradients(gradients(again), gradients(kept))


def test_an_output_embedding_of_its_own_is_used_and_trained(checkpoint: Path) -> None:
    model, encoder = load(checkpoint)
    output = nn.Parameter(torch.randn(model.config.vocab_size, model.config.hidden_size))
    batch = batch_of(ROWS, encoder)
    loss = JointModel(model, LossWeights(rank=0.0), output)(batch)
    loss.terms["lm"].backward()
    assert output.grad is not None
    assert output.grad.abs().sum() > 0
    tied = JointModel(model, LossWeights(rank=0.0))(batch)
    assert tied.terms["lm"] != loss.terms["lm"]


def test_the_head_and_the_backbone_both_learn(checkpoint: Path) -> None:
    model, encoder = load(checkpoint)
    weights = LossWeights(lm=0.0)
    JointModel(model, weights)(batch_of(ROWS, encoder)).total.backward()
    assert all(gradient.abs().sum() > 0 for gradient in gradients(model).values())


def test_parts_of_a_step_add_up_to_the_whole(checkpoint: Path) -> None:
    """Though they have other numbers of pairs and tokens."""
    weights = LossWeights(tokens=0.5, centering=0.1, margin=1.0)
    whole, encoder = load(checkpoint)
    parts, _ = load(checkpoint)
    rows = [replace(row, weight=weight) for row, weight in zip(ROWS, (1.0, 0.25, 2.0), strict=True)]
    batch = batch_of(rows, encoder)
    JointModel(whole, weights)(batch).total.backward()
    for part in (rows[:1], rows[1:]):
        JointModel(parts, weights)(batch_of(part, encoder), batch.totals).total.backward()
    assert_same_gradients(gradients(parts), gradients(whole))


def test_costly_terms_are_skipped_without_a_weight_and_in_evaluation(checkpoint: Path) -> None:
    model, encoder = load(checkpoint)
    batch = batch_of(ROWS, encoder)
    joint = JointModel(model, LossWeights(tokens=1.0))
    trained, evaluated = joint.train()(batch), joint.eval()(batch)
    assert trained.terms.keys() == evaluated.terms.keys() == TERMS.keys()
    for name, term in TERMS.items():
        assert (evaluated.terms[name] == 0) == term.at_every_token
    assert trained.terms["lm"] > 0
    assert trained.terms["tokens"] > 0
    bare = JointModel(model, LossWeights(lm=0.0)).train()(batch)
    assert bare.terms["lm"] == bare.terms["tokens"] == 0
