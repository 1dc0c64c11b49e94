"""Tiny causal language models and policy rows, for tests that train one."""

import random
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.checkpoints import make_tokenizer
from tests.trainer.training.stages import Made
from trainer.pairs.policy_row import STEM, PolicyAnswer, PolicyRow
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import writing_stage

TEMPLATE = """\
{%- for message in messages -%}
<|{{ message.role }}|>
{{ message.content }}<|eos|>
{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% endif %}"""

_SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}


def make_policy(
    path: Path, architecture: str = "llama", *, seed: int = 0, tied: bool = True, **changes: object
) -> Path:
    """Save a random causal language model with its tokenizer; returns `path`."""
    tokenizer = make_tokenizer(template=TEMPLATE)
    settings = {**_SHAPE, "tie_word_embeddings": tied, **changes}
    dtype = settings.pop("dtype", torch.float32)
    special = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = AutoConfig.for_model(architecture, vocab_size=len(tokenizer), **special, **settings)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    model.to(dtype).save_pretrained(path)
    tokenizer.save_pretrained(path)
    (path / "generation_config.json").write_text('{"temperature": 0.7, "do_sample": true}\n')
    return path


def exact_rows(count: int, rejected: int = 2, *, seed: int = 0) -> list[PolicyRow]:
    """Rows with token ids, of which some answers begin alike; two rows share each prompt."""
    draw = random.Random(seed)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(draw.randrange(7, 300) for _ in range(length))

    rows = []
    for number in range(count):
        if number % 2 == 0:
            prompt = ids(draw.randrange(6, 20))
        start = ids(3)
        answers = [
            PolicyAnswer(f"{number}-{k}", f"answer {k}", start[: k % 3] + ids(draw.randrange(2, 9)))
            for k in range(1 + rejected)
        ]
        rows.append(
            PolicyRow(
                f"row-{number}",
                f"problem-{number // 2}",
                f"problem {number // 2}",
                answers[0],
                tuple(answers[1:]),
                prompt_ids=prompt,
                source="even" if number % 2 == 0 else "odd",
            )
        )
    return rows


def make_rows(folder: Path, rows: list[PolicyRow]) -> None:
    with writing_stage(Made("policy_pairs"), folder) as draft:
        write_shards(draft.path, STEM, rows, 1000)


def make_work(folder: Path, count: int = 24) -> Path:
    """A folder with the stages `policy_pairs` and `base`."""
    make_rows(folder / "policy_pairs", exact_rows(count))
    with writing_stage(Made("base"), folder / "base") as draft:
        make_policy(draft.path)
    return folder
