"""GRPO in TRL: a policy learns from the scores of a reward-model server.

scripts/serve                                              # in one terminal
python examples/grpo_trl.py --url http://127.0.0.1:8000    # in another

By default the policy is the backbone of the default release, which is a small language model, too.
That is enough to see the parts work together; for real work, name a model of yours with --model.
"""

import argparse
import json
from pathlib import Path

import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils import logging
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from codepmp_client import trl_reward

ROOT = Path(__file__).resolve().parent.parent


class PrintReward(TrainerCallback):
    """Prints one line for each step, in place of all that TRL logs."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        if logs and "reward" in logs:
            print(f"step {state.global_step:3}  mean reward {logs['reward']:8.3f}", flush=True)


parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("--url", default="http://127.0.0.1:8000")
parser.add_argument("--model", default=str(ROOT / "releases/tiny-code-rm"), help="the policy")
parser.add_argument("--steps", type=int, default=10)
parser.add_argument("--out", type=Path, default=Path("work/example-grpo"))
arguments = parser.parse_args()

lines = (ROOT / "examples/data/candidates.jsonl").read_text("utf-8").splitlines()
# Prompts as conversations, so that the policy and the reward model each use their chat template.
prompts = [[{"role": "user", "content": json.loads(line)["prompt"]}] for line in lines]

# A reward model's head is left out when it is loaded as a language model; that needs no report.
logging.set_verbosity_error()

trainer = GRPOTrainer(
    model=AutoModelForCausalLM.from_pretrained(arguments.model),
    processing_class=AutoTokenizer.from_pretrained(arguments.model),
    # The one line that connects TRL with the server. Requests are bulk work, are tried again while
    # the server is busy, and fail if another version of the model answers in the middle of a run.
    reward_funcs=trl_reward(arguments.url),  # type: ignore[arg-type] # TRL takes async ones, too
    callbacks=[PrintReward()],
    train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
    args=GRPOConfig(
        output_dir=str(arguments.out),
        max_steps=arguments.steps,
        per_device_train_batch_size=16,
        num_generations=8,
        max_completion_length=48,
        learning_rate=1e-4,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        bf16=torch.cuda.is_available(),
        seed=0,
    ),
)
trainer.remove_callback(PrinterCallback)
trainer.train()
trainer.save_model()
print(f"The policy is in {arguments.out}")
