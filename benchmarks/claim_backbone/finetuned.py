"""One run of the study: finetune a backbone with adapters on some pairs, score what is held out."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from safetensors import safe_open
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from benchmarks.claim_backbone.exercises import Exercise, draw
from reward_model.network import head_scores, packed_hidden
from reward_model.packing import pack
from reward_model.text.encoding import Encoder
from trainer.evaluation.question import Question, conversation_of
from trainer.evaluation.scorers.network import batches
from trainer.pairs.encoded import EncodedRow, encode_rows
from trainer.pipeline.stage import MANIFEST, read_manifest
from trainer.training.config import LoraAdapters
from trainer.training.finetune import FinetuneConfig
from trainer.training.loop.arguments import arguments
from trainer.training.loop.schedule import schedule_of
from trainer.training.loop.trainer import PackedTrainer
from trainer.training.objective.batches import Collator, training_tree
from trainer.training.objective.fitting import fitting
from trainer.training.objective.joint import JointModel
from trainer.training.weights.lora import add_adapters
from trainer.training.weights.start import draw_head, load_start

ROWS_PER_STEP = 2
FEWEST_STEPS = 16
MAX_TOKENS = 1024
ADAPTERS = LoraAdapters(r=16, lora_alpha=32)


@dataclass(frozen=True)
class Finetuned:
    """The result of one run.

    Attributes:
        arm: the name of the checkpoint that was finetuned.
        pairs: asked for; the exercise may have fewer, which are `trained`.
        made_of: a hash of exercise, checkpoint and settings: runs of another one do not compare.
        seconds: of training alone, and of scoring alone.
        scores: of each candidate of each held-out question.
    """

    task: str
    arm: str
    pairs: int
    seed: int
    made_of: str
    trained: int
    steps: int
    seconds: tuple[float, float]
    scores: list[list[float]]


def run(
    folder: Path, arm: str, exercise: Exercise, pairs: int, seed: int, rate: float, made_of: str
) -> Finetuned:
    """Finetune the checkpoint on `pairs` pairs; with none it is scored as it is."""
    config = _config(folder, rate, seed)
    start = load_start(folder, seed=seed, with_lm=False)
    if not head_is_trained(folder):
        # An arm whose head has never ranked gets the same random head as any other such arm.
        draw_head(start.model, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapted = add_adapters(start.model, ADAPTERS)
    model = JointModel(start.model, config.weights)
    encoder = Encoder(start.tokenizer, max_tokens=MAX_TOKENS, pad_id=None)
    left_out: Counter[str] = Counter()
    rows = fitting(encode_rows(draw(exercise, pairs, seed), encoder), left_out, pairs_only=True)
    assert not +left_out, f"short texts fit into the model: {left_out}"
    steps = max(FEWEST_STEPS, math.ceil(len(rows) / ROWS_PER_STEP)) if rows else 0
    began = perf_counter()
    if rows:
        _train(model, config, steps, rows)
    trained = perf_counter()
    adapted.merge_adapter()
    scores = score(model.eval(), encoder, exercise.test)
    return Finetuned(
        task=exercise.name,
        arm=arm,
        pairs=pairs,
        seed=seed,
        made_of=made_of,
        trained=sum(len(row.rejected) for row in rows),
        steps=steps,
        seconds=(round(trained - began, 1), round(perf_counter() - trained, 1)),
        scores=scores,
    )


def head_is_trained(folder: Path) -> bool:
    """Whether the checkpoint has a score head that was trained to rank, as far as it tells."""
    if (folder / MANIFEST).is_file():
        return bool(read_manifest(folder)["config"]["weights"]["rank"])
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as weights:
            if "score.weight" in weights.keys():  # noqa: SIM118 - not a mapping
                return True
    return False


@torch.inference_mode()
def score(model: JointModel, encoder: Encoder, questions: Sequence[Question]) -> list[list[float]]:
    """Raw scores in bfloat16 autocast, as it is trained; questions share their prompts."""
    sequences = [
        encoder.encode(conversation_of(question, index))
        for question in questions
        for index in range(len(question.answers))
    ]
    found: list[float] = []
    for batch in batches(sequences):
        packed = pack(batch)
        with torch.autocast("cpu", torch.bfloat16):
            tree = training_tree(packed, model.network.device)
            hidden = packed_hidden(model.network, tree)
            read = hidden[[reads[-1] for reads in packed.reads]]
        found += head_scores(model.head, read).tolist()
    assert all(map(math.isfinite, found)), "a learning rate this high destroys the model"
    rest = iter(found)
    return [[next(rest) for _ in question.answers] for question in questions]


def read_runs(file: Path) -> list[Finetuned]:
    """All runs that a file holds."""
    if not file.is_file():
        return []
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return [Finetuned(**row | {"seconds": tuple(row["seconds"])}) for row in rows]


def append_run(file: Path, found: Finetuned) -> None:
    """Add a run, whole, so that whatever ends the program leaves the runs that are done."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as stream:
        stream.write(json.dumps(asdict(found)) + "\n")


def _config(folder: Path, rate: float, seed: int) -> FinetuneConfig:
    """Ranking loss alone, one pass, as the paper finetunes; adapters and bfloat16 for the cost."""
    return FinetuneConfig(
        start=str(folder),
        prompts_per_step=ROWS_PER_STEP,
        learning_rate=rate,
        warmup_ratio=0.1,
        bf16=True,
        lora=ADAPTERS,
        save_steps=0,
        eval_steps=0,
        report_to="none",
        seed=seed,
    )


def _train(model: JointModel, config: FinetuneConfig, steps: int, rows: list[EncodedRow]) -> None:
    """Train for `steps` steps; where there are few rows, they are taken again from the first."""
    config = replace(config, max_steps=steps)
    with TemporaryDirectory() as folder:
        trainer = PackedTrainer(
            config=config,
            model=model,
            args=arguments(config, schedule_of(config, len(rows)), Path(folder), model.network),
            train_dataset=rows,
            data_collator=Collator(),
            held_out=None,
        )
        # The study has a bar of its own.
        for callback in (ProgressCallback, PrinterCallback):
            trainer.pop_callback(callback)
        trainer.train()
