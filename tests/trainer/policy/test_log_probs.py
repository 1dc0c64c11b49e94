"""Log-probs through the packed forward are those of separate forwards, gradients included."""

from array import array
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from tests.trainer.policy.policies import exact_rows, make_policy
from tests.trainer.training.gradients import assert_same_gradients, gradients
from trainer.policy import log_probs as module
from trainer.policy.batches import pack_answers
from trainer.policy.log_probs import answer_log_probs
from trainer.policy.start import load_policy

Text = tuple["array[int]", "array[int]"]
ARCHITECTURES = ["llama", "qwen2", "qwen3", "gemma2", "phi", "gpt_neox", "mistral", "smollm3"]


def texts() -> list[Text]:
    """Answers of two prompts; some begin alike, and one is there twice."""
    found = [
        (array("i", row.prompt_ids), array("i", answer.token_ids))
        for row in exact_rows(4)
        for answer in (row.chosen, *row.rejected)
    ]
    return [*found, found[0]]


def separate(checkpoint: Path, given: list[Text]) -> tuple[list[Tensor], torch.nn.Module]:
    """Each text by itself through transformers' own forward."""
    model = AutoModelForCausalLM.from_pretrained(checkpoint, attn_implementation="eager")
    found = []
    for prompt, ids in given:
        logits = model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0].float()
        rows = logits[len(prompt) - 1 : -1].log_softmax(-1)
        found.append(rows.gather(1, torch.tensor(ids)[:, None]).squeeze(1))
    return found, model


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_equals_separate(tmp_path: Path, architecture: str) -> None:
    tied = architecture not in ("phi", "gpt_neox")
    checkpoint = make_policy(tmp_path, architecture, tied=tied)
    given = texts()
    expected, plain = separate(checkpoint, given)
    torch.stack([values.sum().square() for values in expected]).sum().backward()

    network = load_policy(checkpoint).network
    answers = pack_answers(given)
    values = answer_log_probs(network, answers)
    found = [values[entries] for entries in answers.tokens]
    torch.stack([each.sum().square() for each in found]).sum().backward()

    assert len(answers.read_at) < sum(len(ids) for _, ids in given), "nothing is predicted twice"
    for left, right in zip(found, expected, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=2e-5)
    assert_same_gradients(gradients(network), gradients(plain))  # type: ignore[arg-type]


@pytest.mark.parametrize("logits", [300, 2**24])
def test_a_frozen_head_gives_the_same_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logits: int
) -> None:
    """The gradient for hidden states, which is computed in the forward pass, is the real one."""
    monkeypatch.setitem(module._MAX_LOGITS, "cpu", logits)
    network = load_policy(make_policy(tmp_path, tied=False)).network
    answers = pack_answers(texts())
    weights = torch.linspace(-1, 1, len(answers.read_at))
    found = []
    for trained in (True, False):
        network.lm_head.weight.requires_grad_(trained)
        values = answer_log_probs(network, answers)
        network.zero_grad()
        (values * weights).sum().backward()
        own = {n: g for n, g in gradients(network).items() if not n.startswith("lm_head")}
        found.append((values.detach(), own))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-6, atol=1e-6)
    assert_same_gradients(found[1][1], found[0][1])


@pytest.mark.parametrize("trained", [True, False])
def test_logits_exist_for_a_few_positions_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: bool
) -> None:
    monkeypatch.setitem(module._MAX_LOGITS, "cpu", 4096)
    shapes: list[int] = []
    linear = torch.nn.functional.linear

    def counted(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        product = linear(rows, weight, bias)
        shapes.append(product.numel() if product.shape[-1] == vocabulary else 0)
        return product

    network = load_policy(make_policy(tmp_path, tied=False)).network
    vocabulary = network.config.vocab_size
    network.lm_head.weight.requires_grad_(trained)
    monkeypatch.setattr(torch.nn.functional, "linear", counted)
    answer_log_probs(network, pack_answers(texts())).sum().backward()
    assert 0 < max(shapes) <= 4096
