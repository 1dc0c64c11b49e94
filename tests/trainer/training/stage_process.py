"""Runs one training stage: `python -m tests.trainer.training.stage_process CONFIG WORK NAME`."""

import sys
from pathlib import Path

from pydantic import TypeAdapter

from trainer.training import pretrain
from trainer.training.pretrain import PretrainConfig

if __name__ == "__main__":
    config, work, name = sys.argv[1:]
    parsed = TypeAdapter(PretrainConfig).validate_json(config)
    pretrain.run(parsed, Path(work), Path(work) / name)
