"""The reward-model server that one writes in an afternoon; what ours has to be better than.

    python -m benchmarks.serving.naive_server --model DIR [--port 8000]

Transformers' model and tokenizer, padded batches of 16, `inference_mode`, all in the request
handler, as in OpenRLHF's example server, whose `POST /get_reward` it answers. Nothing is held back
on purpose: right padding to the longest text of a batch, SDPA, all of torch's threads.
"""

import argparse
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

BATCH = 16


class Query(BaseModel):
    """`query` holds whole conversations, rendered, with their special tokens."""

    query: list[str]


class Rewards(BaseModel):
    rewards: list[float]
    scores: list[float]
    extra_logs: dict[str, list[float]] = {}


def create_app(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> FastAPI:
    app = FastAPI()

    @app.get("/health")
    async def health() -> None:
        """Answers once the model is loaded."""

    @app.post("/get_reward")
    async def get_reward(query: Query) -> Rewards:
        starts = range(0, len(query.query), BATCH)
        batches = [query.query[start : start + BATCH] for start in starts]
        rewards = [score for batch in batches for score in score_batch(model, tokenizer, batch)]
        return Rewards(rewards=rewards, scores=rewards)

    return app


@torch.inference_mode()
def score_batch(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str]
) -> list[float]:
    """Raw logits of at most `BATCH` texts."""
    batch = tokenizer(
        texts, padding=True, padding_side="right", add_special_tokens=False, return_tensors="pt"
    ).to(model.device)
    logits: torch.Tensor = model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
    ).logits
    scores: list[float] = logits[:, 0].float().tolist()
    return scores


def main() -> None:
    options = _options()
    model = AutoModelForSequenceClassification.from_pretrained(
        options.model, dtype=getattr(torch, options.dtype)
    )
    app = create_app(model.eval().to(options.device), AutoTokenizer.from_pretrained(options.model))
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.naive_server")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    return parser.parse_args()


if __name__ == "__main__":
    main()
