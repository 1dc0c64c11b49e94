"""What `publish` made is scored alike by everyone: transformers, TRL, the service. vLLM: beside."""

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from pydantic import JsonValue
from transformers import AutoModelForSequenceClassification
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from service.scoring.model import open_model
from tests.service.fakes import starting
from tests.trainer.publishing.golden import RELEASE, TOLERANCE, Known, known_scores
from trainer.publishing.publish import without_folders


@pytest.fixture(scope="module")
def known() -> list[Known]:
    found = known_scores()
    assert len(found) >= 10
    return found


def test_a_release_tells_nobody_the_folders_of_its_maker() -> None:
    record: dict[str, JsonValue] = {
        "config": {"start": "/home/somebody/models/base", "sources": ["~/data/rows.jsonl"]},
        "template": "/home is a folder.\nSo is /etc.",
        "model": "org/name",
        "seed": 1,
    }
    assert without_folders(record) == {
        "config": {"start": "base", "sources": ["rows.jsonl"]},
        "template": record["template"],
        "model": "org/name",
        "seed": 1,
    }


def test_transformers(known: list[Known]) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(RELEASE).eval()
    with torch.inference_mode():
        scores = [float(model(torch.tensor([row.ids])).logits[0, 0]) for row in known]
    assert scores == pytest.approx([row.score for row in known], abs=TOLERANCE)


@pytest.mark.filterwarnings("ignore:.gradient_checkpointing. is deprecated:FutureWarning")  # TRL's
def test_trl_loads_it_by_name_and_scores_padded_batches(known: list[Known], tmp_path: Path) -> None:
    pairs = list(zip(known[::2], known[1::2], strict=False))
    rows = [{"chosen": one.messages, "rejected": two.messages} for one, two in pairs]
    trainer = RewardTrainer(
        model=str(RELEASE),
        args=RewardConfig(
            output_dir=str(tmp_path),
            per_device_eval_batch_size=len(pairs),
            report_to="none",
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(rows),
    )
    model = trainer.model
    assert model is not None
    model.eval()
    (batch,) = trainer.get_eval_dataloader()
    with torch.inference_mode():
        _, outputs = trainer.compute_loss(model, batch, return_outputs=True)  # type: ignore[no-untyped-call]
    expected = [one.score for one, _ in pairs] + [two.score for _, two in pairs]
    assert outputs.logits[:, 0].tolist() == pytest.approx(expected, abs=TOLERANCE)


async def test_the_service(known: list[Known]) -> None:
    inputs = [
        {"messages": row.messages[:-1], "candidates": [row.messages[-1]["content"]]}
        for row in known
    ]
    async with starting(open_model, model=str(RELEASE), device="cpu") as app:
        await app.service.started()
        answer = await app.client.post("/v1/score", json={"inputs": inputs})
    scores = [result["scores"][0]["score"] for result in answer.json()["results"]]
    assert scores == pytest.approx([row.score for row in known], abs=TOLERANCE)
