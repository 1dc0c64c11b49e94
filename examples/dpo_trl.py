"""DPO in TRL on a file of pairs, as `codepmp-score pairs` writes it; see dpo_pairs.sh.

python examples/dpo_trl.py pairs.jsonl --model MODEL
"""

import argparse
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from transformers.utils import logging
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

ROOT = Path(__file__).resolve().parent.parent

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("pairs", help="JSON Lines with `prompt`, `chosen` and `rejected`")
parser.add_argument("--model", default=str(ROOT / "releases/tiny-code-rm"), help="the policy")
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--out", type=Path, default=Path("work/example-dpo"))
arguments = parser.parse_args()

# A reward model's head is left out when it is loaded as a language model; that needs no report.
logging.set_verbosity_error()

trainer = DPOTrainer(
    model=AutoModelForCausalLM.from_pretrained(arguments.model),
    # The policy is held close to where it began.
    ref_model=AutoModelForCausalLM.from_pretrained(arguments.model),
    processing_class=AutoTokenizer.from_pretrained(arguments.model),
    train_dataset=Dataset.from_json(arguments.pairs),
    args=DPOConfig(
        output_dir=str(arguments.out),
        max_steps=arguments.steps,
        per_device_train_batch_size=4,
        learning_rate=1e-4,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        bf16=torch.cuda.is_available(),
        seed=0,
    ),
)
trainer.remove_callback(PrinterCallback)  # the lines below say it shorter
trainer.train()

for entry in trainer.state.log_history:
    if "rewards/accuracies" in entry:
        accuracy = f"chosen is preferred in {entry['rewards/accuracies']:4.0%} of pairs"
        print(f"step {entry['step']:3}  loss {entry['loss']:.3f}  {accuracy}")
trainer.save_model()
print(f"The policy is in {arguments.out}")
