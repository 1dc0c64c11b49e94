from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from trainer.corpus.gather import CorpusConfig
from trainer.pairs.row import PreferenceRow, Rejected, read_pairs, write_pairs
from trainer.pipeline.stage import read_manifest, writing_stage
from trainer.synthesis import generators
from trainer.synthesis.generators import GeneratorConfig
from trainer.training.base import BaseConfig
from trainer.training.pretrain import warm_up

SHAPE = BaseConfig(
    vocab_size=320,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    intermediate_size=64,
)
CONFIG = GeneratorConfig(SHAPE, warm_up("base", 25, 4, 2e-2), "Describe: {code}", "{request}")
ROWS = [
    PreferenceRow(
        id=f"row{number}",
        group="package",
        prompt=f"Give the number {number}.",
        chosen=f"def number():\n    return {number}",
        rejected=(Rejected("mutant", "def number():\n    return None"),),
    )
    for number in range(8)
]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    with writing_stage(CorpusConfig(), folder / "pairs") as draft:
        write_pairs(draft.path, "train", ROWS, 100)
    generators.run(CONFIG, folder, folder / "strong_lm")
    return folder


def test_it_loads_as_a_causal_model_that_knows_its_texts(work: Path) -> None:
    """A text it was trained on is far likelier than under a uniform guess (loss 5.8)."""
    model = AutoModelForCausalLM.from_pretrained(work / "strong_lm").eval()
    assert type(model).__name__ == "LlamaForCausalLM"
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    tokenizer = AutoTokenizer.from_pretrained(work / "strong_lm")
    request, code = "Give the number 3.", ROWS[3].chosen
    for turns in (task(request, code), task(f"Describe: {code}", request)):
        ids = tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=False)
        with torch.inference_mode():
            assert float(model(input_ids=ids, labels=ids).loss) < 3.0


def task(request: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": request}, {"role": "assistant", "content": answer}]


def test_it_ends_its_turn_where_the_template_does(work: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(work / "strong_lm")
    model = AutoModelForCausalLM.from_pretrained(work / "strong_lm")
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    text = tokenizer.apply_chat_template(task("a", "b"), tokenize=False)
    assert str(text).endswith(tokenizer.eos_token)


def test_the_manifest_tells_its_size_and_training(work: Path) -> None:
    manifest = read_manifest(work / "strong_lm")
    model = AutoModelForCausalLM.from_pretrained(work / "strong_lm")
    assert manifest["parameters"] == sum(p.numel() for p in model.parameters())
    assert any("loss_lm" in entry for entry in manifest["log"])
    assert manifest["inputs"].keys() == {"pairs"}
    assert read_pairs(work / "pairs", "train") == ROWS


def test_a_model_that_only_writes_is_trained_on_half_the_tasks() -> None:
    tasks = generators.tasks(ROWS, CONFIG)
    writing = generators.tasks(ROWS, replace(CONFIG, describes=False))
    assert (len(tasks), len(writing)) == (16, 8)
    assert writing[3].prompt == "Give the number 3."
    assert tasks[1].prompt == "Describe: " + ROWS[0].chosen
