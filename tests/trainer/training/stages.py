"""Finished stages to train from, small and made on the spot, and training in another process."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from tests.checkpoints import make_checkpoint
from trainer.pairs.row import PreferenceRow, Rejected, write_pairs
from trainer.pipeline.stage import writing_stage
from trainer.training.pretrain import PretrainConfig

ROOT = Path(__file__).resolve().parents[3]
_VERBS = ("add", "return", "item", "total", "limit", "fox", "dog", "jumps")


@dataclass(frozen=True)
class Made:
    """The config of a stage that a test wrote."""

    what: str


def rows(count: int, name: str = "row", weight: float = 1.0) -> list[PreferenceRow]:
    """Requests with a right answer and two wrong ones, of different lengths."""
    return [
        PreferenceRow(
            f"{name}-{number}",
            f"{name}-{number}",
            f"{name}: {_VERBS[number % 8]} {number} numbers",
            f"def {_VERBS[number % 8]}(a, b): return a + {number}",
            (
                Rejected("mutant", f"def {_VERBS[number % 8]}(a, b): return a - {number}", 0.5),
                Rejected("other", _VERBS[(number + 3) % 8] * (1 + number % 3)),
            ),
            weight=weight,
        )
        for number in range(count)
    ]


def make_pairs(
    folder: Path, train: list[PreferenceRow], evaluation: list[PreferenceRow] | None = None
) -> None:
    with writing_stage(Made("pairs"), folder) as draft:
        write_pairs(draft.path, "train", train, 1000)
        write_pairs(draft.path, "evaluation", evaluation or [], 1000)


def make_base(folder: Path, architecture: str = "llama", **changes: object) -> None:
    with writing_stage(Made("base"), folder) as draft:
        shape = {"tie_word_embeddings": True, **changes}
        make_checkpoint(draft.path, architecture, **shape)  # type: ignore[arg-type]  # config entries


def make_work(folder: Path, count: int = 20) -> Path:
    """A folder with stages `pairs` and `base`."""
    make_pairs(folder / "pairs", rows(count), rows(6, "held-out"))
    make_base(folder / "base")
    return folder


def weights(stage: Path) -> dict[str, Tensor]:
    return load_file(stage / "model.safetensors")


def command(config: PretrainConfig, work: Path, name: str) -> list[str]:
    """What runs a stage in a process of its own, after an interpreter and its options."""
    return [
        "-m",
        "tests.trainer.training.stage_process",
        json.dumps(asdict(config)),
        str(work),
        name,
    ]


def environment() -> dict[str, str]:
    """One thread, so that sums have one order, and no GPU."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def run_alone(config: PretrainConfig, work: Path, name: str) -> None:
    _call([sys.executable, *command(config, work, name)])


def run_together(config: PretrainConfig, work: Path, name: str, processes: int = 2) -> None:
    """By torchrun, on a free port."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    _call([sys.executable, *torchrun, *command(config, work, name)])


def _call(arguments: list[str]) -> None:
    done = subprocess.run(
        arguments, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
