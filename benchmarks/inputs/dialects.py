"""One request in the words of each dialect, and the scores in its answer. Knows no sockets."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel

from benchmarks.inputs.texts import Texts

Scores = list[float | None]
"""Raw logits in the order asked; None where the server could not score."""


@dataclass(frozen=True)
class Dialect:
    """Where a request goes, what it says, and how its scores are read from the answer."""

    path: str
    body: Callable[[Texts], dict[str, object]]
    scores: Callable[[bytes], Scores]


class _Scored(BaseModel):
    score: float | None


class _Result(BaseModel):
    scores: list[_Scored]


class _Native(BaseModel):
    results: list[_Result]


class _Rewards(BaseModel):
    rewards: Scores


class _Class(BaseModel):
    index: int
    probs: tuple[float]


class _Classified(BaseModel):
    data: list[_Class]


def _ask_native(texts: Texts) -> dict[str, object]:
    request = texts.request
    return {"inputs": [{"prompt": request.prompt, "candidates": list(request.candidates)}]}


def _ask_openrlhf(texts: Texts) -> dict[str, object]:
    prompts = [texts.request.prompt] * len(texts.rendered)
    return {"query": list(texts.rendered), "prompts": prompts, "labels": [""] * len(prompts)}


def _ask_vllm(asked: list[object]) -> dict[str, object]:
    """Without the activation `probs` are raw logits, whatever the checkpoint's problem type."""
    return {"input": asked, "add_special_tokens": False, "use_activation": False}


def _ask_vllm_ids(texts: Texts) -> dict[str, object]:
    return _ask_vllm([list(sequence.ids) for sequence in texts.sequences])


def _ask_vllm_text(texts: Texts) -> dict[str, object]:
    return _ask_vllm(list(texts.rendered))


def _read_native(answer: bytes) -> Scores:
    (result,) = _Native.model_validate_json(answer).results
    return [row.score for row in result.scores]


def _read_rewards(answer: bytes) -> Scores:
    return _Rewards.model_validate_json(answer).rewards


def _read_classes(answer: bytes) -> Scores:
    rows = _Classified.model_validate_json(answer).data
    return [row.probs[0] for row in sorted(rows, key=lambda row: row.index)]


DIALECTS = {
    "native": Dialect("/v1/score", _ask_native, _read_native),
    "openrlhf": Dialect("/get_reward", _ask_openrlhf, _read_rewards),
    "vllm": Dialect("/classify", _ask_vllm_ids, _read_classes),
    "vllm-text": Dialect("/classify", _ask_vllm_text, _read_classes),
}
"""vLLM takes token ids in the first of its two, so that it need not tokenize."""
