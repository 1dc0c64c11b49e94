"""Runs the stage `dpo`: `python -m tests.trainer.policy.dpo_process CONFIG WORK NAME`."""

import sys
from pathlib import Path

from pydantic import TypeAdapter

from trainer.policy import dpo
from trainer.policy.config import DpoConfig

if __name__ == "__main__":
    config, work, name = sys.argv[1:]
    parsed = TypeAdapter(DpoConfig).validate_json(config)
    dpo.run(parsed, Path(work), Path(work) / name)
