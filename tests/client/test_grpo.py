"""TRL's own GRPO trainer learns from a service that runs."""

import asyncio
from pathlib import Path
from typing import TypedDict

import pyarrow.parquet
import pytest
from datasets import Dataset
from transformers import AutoConfig, AutoModelForCausalLM
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from codepmp_client import AsyncRewardClient, Input, Message, trl_reward
from tests.checkpoints import make_checkpoint, make_tokenizer
from tests.service.test_process import started

STEPS = 2
PROMPTS = ["Write a function that adds two numbers.", "Count the words of a text."]


def make_trainer(client: AsyncRewardClient, output: Path) -> GRPOTrainer:
    tokenizer = make_tokenizer()
    config = AutoConfig.for_model(
        "qwen2",
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    rows = [{"prompt": [{"role": "user", "content": prompt}]} for prompt in PROMPTS]
    arguments = GRPOConfig(
        output_dir=str(output),
        max_steps=STEPS,
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=8,
        log_completions=True,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
    )
    return GRPOTrainer(
        model=AutoModelForCausalLM.from_config(config),
        reward_funcs=trl_reward(client),  # type: ignore[arg-type] # TRL takes async ones, too
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )


class Row(TypedDict):
    """One completion that was trained on, with its reward."""

    prompt: list[Message]
    completion: list[Message]
    reward_model: float


def logged(output: Path) -> list[Row]:
    files = sorted(output.glob("completions/*.parquet"))
    assert len(files) == STEPS
    return [row for file in files for row in pyarrow.parquet.read_table(file).to_pylist()]


# TRL says gradient_checkpointing where transformers now says activation_checkpointing.
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")
async def test_the_rewards_that_are_logged_are_the_services_scores(tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path / "reward")
    async with started(tmp_path, "service", "--model", str(model), "--device", "cpu") as service:
        await service.ready()
        client = AsyncRewardClient(service.url)
        trainer = make_trainer(client, tmp_path / "policy")
        await asyncio.to_thread(trainer.train)
        asyncio.run_coroutine_threadsafe(client.aclose(), trainer.async_loop).result()
        rows = logged(tmp_path / "policy")
        asked = [Input(row["prompt"], [str(row["completion"][0]["content"])]) for row in rows]
        async with AsyncRewardClient(service.url) as fresh:
            results = await fresh.score_many(asked)
    scores = [result.scores[0].raw for result in results]
    assert len(scores) == STEPS * 8
    assert [row["reward_model"] for row in rows] == pytest.approx(scores, abs=1e-4)
    assert len(set(scores)) > 2
