"""Files for other trainers, read as they read them: TRL by itself, others by their schemas."""

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, load_dataset
from transformers import AutoModelForCausalLM
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from tests.checkpoints import make_tokenizer
from tests.trainer.policy.policies import TEMPLATE, make_policy
from trainer.feedback.exports import FILE_FORMATS, write_dataset_info, write_exports
from trainer.pairs.policy_row import PolicyAnswer, PolicyRow

ANSWER = "```python\ndef add(a, b):\n    return a + b  # \u00fcber\u2028all\n```"
ROWS = [
    PolicyRow(
        "one",
        "p",
        "Write add.",
        PolicyAnswer("a", ANSWER, log_probs=(-0.5,), value=1.0),
        (PolicyAnswer("b", "def add(): 0", value=0.5), PolicyAnswer("c", "pass", value=0.0)),
    ),
    PolicyRow("two", "q", "Write x.", PolicyAnswer("d", "x"), (PolicyAnswer("e", "y"),)),
    PolicyRow(
        "cut", "q", "Write x.", PolicyAnswer("f", "x"), (PolicyAnswer("g", "y"),), ends=False
    ),
]
PAIRS = 3
SIDES = ("prompt", "chosen", "rejected")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    counts = write_exports(tmp_path, FILE_FORMATS, "train", ROWS)
    assert counts == {"exports: pairs of prefixes are left out": 1}
    write_dataset_info(tmp_path, ["train"])
    return tmp_path


def lines(file: Path) -> list[dict[str, Any]]:
    with file.open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


# TRL says gradient_checkpointing where transformers now says activation_checkpointing.
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")
def test_trl_trains_on_the_same_texts(folder: Path) -> None:
    tokenizer = make_tokenizer(template=TEMPLATE)
    policy = make_policy(folder / "policy")
    data = load_dataset(
        "json",
        data_files=str(folder / "trl-train.jsonl"),
        split="train",
        cache_dir=str(folder / "cache"),
    )
    assert set(data.column_names) == set(SIDES)
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(policy),
        args=DPOConfig(
            output_dir=str(folder / "out"),
            report_to="none",
            use_cpu=True,
            bf16=False,
            max_steps=1,
        ),
        train_dataset=data,
        processing_class=tokenizer,
    )
    prepared = trainer.train_dataset
    assert isinstance(prepared, Dataset)
    assert len(prepared) == PAIRS
    texts = {side: str(tokenizer.decode(prepared[0][f"{side}_ids"])) for side in SIDES}
    assert texts["prompt"] == "<|user|>\nWrite add.<|eos|>\n<|assistant|>\n"
    assert texts["chosen"].startswith(f"{ANSWER}<|eos|>")
    assert texts["rejected"].startswith("def add(): 0<|eos|>")
    assert trainer.train().global_step == 1


def test_openrlhf_puts_its_template_around_prompt_and_answer(folder: Path) -> None:
    tokenizer = make_tokenizer(template=TEMPLATE)
    rows = lines(folder / "openrlhf-train.jsonl")
    assert [row["margin"] for row in rows] == [0.5, 1.0, 0.0]
    # As its `RewardDataset` does with `apply_chat_template` and the three keys.
    row = rows[0]
    prompt = tokenizer.apply_chat_template(
        row["prompt"], tokenize=False, add_generation_prompt=True
    )
    whole = tokenizer.apply_chat_template(row["prompt"] + row["chosen"], tokenize=False)
    assert whole[len(prompt) :] == f"{ANSWER}<|eos|>\n"


def test_llama_factory_finds_its_data_set_by_name(folder: Path) -> None:
    info = json.loads((folder / "dataset_info.json").read_text())["policy_pairs_train"]
    assert info["ranking"] is True
    assert info["formatting"] == "sharegpt"
    rows = lines(folder / info["file_name"])
    for row in rows:
        messages = row[info["columns"]["messages"]]
        assert [message["from"] for message in messages] == ["human"]
        for side in ("chosen", "rejected"):
            assert row[info["columns"][side]]["from"] == "gpt"
    assert rows[0]["chosen"]["value"] == ANSWER


def test_nemo_rl_reads_texts(folder: Path) -> None:
    rows = lines(folder / "nemo_rl-train.jsonl")
    assert len(rows) == PAIRS
    assert rows[0] == {"prompt": "Write add.", "chosen": ANSWER, "rejected": "def add(): 0"}


def test_no_file_has_log_probabilities(folder: Path) -> None:
    for name in FILE_FORMATS:
        for row in lines(folder / f"{name}-train.jsonl"):
            assert not [key for key in row if "log" in key or key.startswith("ref")]
