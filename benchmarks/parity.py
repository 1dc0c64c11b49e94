"""Scores over HTTP beside transformers' own, of real models on real candidates.

    python -m benchmarks.parity --data ../shared/data --model DIR [--vllm-python PYTHON]

A model is a sequence-classification checkpoint, or a causal language model, which gets a random
score head first. It is served by the torch engine and, where an environment with vLLM is named, by
vLLM. Every score must be within 1e-4 of transformers' score of that text alone, both in float32.
With --bfloat16 the torch engine also serves it in bfloat16, and the page says how far that moves
scores, picks and orders, and how long it takes.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BatchEncoding,
)

from benchmarks.harness.page import Page, add_output_options, verdict
from benchmarks.harness.processes import MALLOC, Launch, running
from benchmarks.harness.servers import vllm_versions
from benchmarks.inputs.candidates import read_solved_problems

TOLERANCE = 1e-4
_CANDIDATES_PER_PROMPT = 4
_PATIENCE = 600.0

Scores = list[list[float | None]]
"""For each question the score of each candidate; None where the service gave an error."""


@dataclass(frozen=True)
class Question:
    """A real problem and some of the solutions that models wrote for it."""

    prompt: str
    candidates: tuple[str, ...]


@dataclass(frozen=True)
class Parity:
    """How far an engine's scores are from transformers' in float32, over all candidates.

    Attributes:
        turned: share of the pairs of one question's candidates that are in another order.
    """

    model: str
    engine: str
    dtype: str
    candidates: int
    largest: float
    mean: float
    deviation: float
    same_best: int
    turned: float
    questions: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, nargs="+", help="checkpoints")
    parser.add_argument("--count", type=int, default=200, help="candidates for each model")
    parser.add_argument("--bfloat16", action="store_true", help="also the torch engine in bfloat16")
    parser.add_argument("--vllm-python", type=Path, help="interpreter of an environment with vLLM")
    add_output_options(parser)
    options = parser.parse_args()
    page = Page("parity", "Scores over HTTP beside transformers'")
    questions = list(read_questions(options.data, options.count))
    engines = [("torch", "float32", Path(sys.executable))]
    if options.bfloat16:
        engines.append(("torch", "bfloat16", Path(sys.executable)))
    if options.vllm_python:
        engines.append(("vllm", "float32", options.vllm_python.absolute()))
    found = []
    for model in options.model:
        with TemporaryDirectory() as folder:
            checkpoint = as_reward_model(model, Path(folder) / model.name)
            fitting = fit(checkpoint, questions)
            expected = transformers_scores(checkpoint, fitting)
            for engine, dtype, python in engines:
                scores, seconds = served_scores(checkpoint, fitting, engine, dtype, python)
                found.append(compare(model.name, engine, dtype, expected, scores, seconds))
    report(page, found)
    if options.vllm_python:
        page.say(f"vLLM's environment: {vllm_versions(options.vllm_python)}.")
    page.write(options)
    if max(each.largest for each in found if each.dtype == "float32") > TOLERANCE:
        sys.exit(f"benchmarks.parity: scores differ by more than {TOLERANCE:g}")


def read_questions(data: Path, count: int) -> Iterator[Question]:
    """Yield problems of GSM8K with solutions by models, until there are `count` candidates."""
    left = count
    for problem in read_solved_problems(data):
        texts = tuple(each["text"] for each in problem["candidates"])
        kept = texts[: min(left, _CANDIDATES_PER_PROMPT)]
        if not kept:
            return
        left -= len(kept)
        yield Question(problem["prompt"], kept)


def as_reward_model(model: Path, folder: Path) -> Path:
    """Return the checkpoint, or a copy with a random score head where it has none."""
    config = AutoConfig.from_pretrained(model)
    if any("SequenceClassification" in name for name in config.architectures or ()):
        return model
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForSequenceClassification.from_pretrained(
        model, num_labels=1, problem_type="regression", dtype=torch.float32
    )
    # A head of deviation 1 / sqrt(width) gives scores whose deviation is near 1.
    torch.nn.init.normal_(network.score.weight, std=1 / math.sqrt(config.hidden_size))
    # What users save: most chat models have no pad token but their end token.
    network.config.pad_token_id = tokenizer.pad_token_id
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def fit(checkpoint: Path, questions: list[Question]) -> list[Question]:
    """The questions without candidates that are longer than the model takes: none has a score."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    longest: int = AutoConfig.from_pretrained(checkpoint).max_position_embeddings

    def fits(prompt: str, candidate: str) -> bool:
        turns = _turns(prompt, candidate)
        encoded = tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=True)
        assert isinstance(encoded, BatchEncoding)
        return int(encoded["input_ids"].shape[1]) <= longest

    kept = [
        Question(each.prompt, tuple(text for text in each.candidates if fits(each.prompt, text)))
        for each in questions
    ]
    fitting = [each for each in kept if each.candidates]
    if not fitting:
        raise SystemExit(f"{checkpoint.name} takes {longest} tokens, fewer than any candidate has")
    return fitting


@torch.inference_mode()
def transformers_scores(checkpoint: Path, questions: list[Question]) -> list[list[float]]:
    """Score every text alone, as a user of transformers does, in float32."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    network = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32)
    network.eval()

    def score(prompt: str, candidate: str) -> float:
        turns = _turns(prompt, candidate)
        encoded = tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=True)
        assert isinstance(encoded, BatchEncoding)
        return float(network(**encoded).logits[0, 0])

    return [[score(each.prompt, text) for text in each.candidates] for each in questions]


def _turns(prompt: str, candidate: str) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": candidate},
    ]


def served_scores(
    checkpoint: Path, questions: list[Question], engine: str, dtype: str, python: Path
) -> tuple[Scores, float]:
    """Return the scores of a served checkpoint, and the seconds that all requests took."""
    command = (str(python), "-m", "service", "--host", "127.0.0.1", "--log-level", "warning")
    served = ("--model", str(checkpoint), "--engine", engine, "--dtype", dtype)
    environment = MALLOC if engine == "torch" else {"HF_HUB_OFFLINE": "1"}
    launch = Launch((*command, *served), "/readyz", environment, patience=_PATIENCE)
    with (
        running(launch) as server,
        httpx.Client(base_url=server.url, timeout=_PATIENCE, trust_env=False) as client,
    ):
        inputs = [{"prompt": each.prompt, "candidates": each.candidates} for each in questions]
        started = time.perf_counter()
        answer = client.post("/v1/score", json={"inputs": inputs}).raise_for_status().json()
        seconds = time.perf_counter() - started
    return [[row["score"] for row in result["scores"]] for result in answer["results"]], seconds


def compare(
    model: str,
    engine: str,
    dtype: str,
    expected: list[list[float]],
    scores: Scores,
    seconds: float,
) -> Parity:
    """Compare all scores; a candidate without a score counts as infinitely far."""
    pairs = [
        (left, math.inf if right is None else right)
        for group, found in zip(expected, scores, strict=True)
        for left, right in zip(group, found, strict=True)
    ]
    served = [[-math.inf if score is None else score for score in group] for group in scores]
    gaps = [abs(left - right) for left, right in pairs]
    mean = sum(left for left, _ in pairs) / len(pairs)
    same = sum(
        group.index(max(group)) == found.index(max(found))
        for group, found in zip(expected, served, strict=True)
    )
    turned = [
        (group[a] > group[b]) != (found[a] > found[b])
        for group, found in zip(expected, served, strict=True)
        for a, b in combinations(range(len(group)), 2)
    ]
    return Parity(
        model=model,
        engine=engine,
        dtype=dtype,
        candidates=len(pairs),
        largest=max(gaps),
        mean=sum(gaps) / len(gaps),
        deviation=math.sqrt(sum((left - mean) ** 2 for left, _ in pairs) / len(pairs)),
        same_best=same,
        turned=sum(turned) / max(1, len(turned)),
        questions=len(expected),
        seconds=seconds,
    )


def report(page: Page, found: list[Parity]) -> None:
    page.say(
        "Each candidate is a solution that a model wrote for a problem of GSM8K. transformers "
        "scores every text alone; the service gets all of them in one request. transformers "
        "computes in float32, and so does the service where nothing else is said. "
        "Language models get a random score head. Candidates that are longer than a model takes "
        "are left out."
    )
    page.table(
        ["model", "engine", "dtype", "candidates", "largest gap", "mean gap", "deviation of scores",
         "same best candidate", "pairs turned", "seconds", f"within {TOLERANCE:g}"],
        [
            [
                each.model,
                each.engine,
                each.dtype,
                each.candidates,
                f"{each.largest:.1e}",
                f"{each.mean:.1e}",
                f"{each.deviation:.2f}",
                f"{each.same_best} of {each.questions}",
                f"{100 * each.turned:.1f} %",
                f"{each.seconds:.1f}",
                verdict(each.largest <= TOLERANCE) if each.dtype == "float32" else "not asked for",
            ]
            for each in found
        ],
    )  # fmt: skip
    page.facts = {"parity": [asdict(each) for each in found]}


if __name__ == "__main__":
    main()
