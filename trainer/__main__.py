"""`python -m trainer STAGE --recipe NAME --work DIR`, and `python -m trainer verify DIR`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from reward_model.release import ReleaseError, open_release
from trainer.corpus import gather
from trainer.evaluation import evaluate
from trainer.pairs import make
from trainer.publishing import calibrate, publish
from trainer.recipes import RECIPES, Recipe
from trainer.stage import StageError
from trainer.training import base, pretrain

STAGES: dict[str, Callable[..., None]] = {
    "corpus": gather.run,
    "pairs": make.run,
    "base": base.run,
    "warmup": pretrain.run,
    "pretrain": pretrain.run,
    "hard_pairs": make.run,
    "harden": pretrain.run,
    "calibrate": calibrate.run,
    "evaluate": evaluate.run,
    "publish": publish.run,
}
"""Stages in the order in which they run; a recipe has a config under each name."""


def main() -> int:
    """Run one stage; 1 when it cannot, with a message that says what to do."""
    options = _parser().parse_args()
    try:
        if options.stage == "verify":
            return _verify(Path(options.release))
        run_stage(options.stage, RECIPES[options.recipe](), Path(options.work))
    except (StageError, ReleaseError) as error:
        print(f"trainer {options.stage}: {error}", file=sys.stderr)
        return 1
    return 0


def run_stage(stage: str, recipe: Recipe, work: Path) -> None:
    """A stage reads finished stages below `work` and writes its own folder there, manifest last."""
    output = work / ("release" if stage == "publish" else stage)
    STAGES[stage](getattr(recipe, stage), work, output)


def _verify(folder: Path) -> int:
    release = open_release(folder)
    print(f"{release.name} {release.version}: every file is the one its manifest names")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    commands = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for stage in STAGES:
        command = commands.add_parser(stage, help=f"run the {stage} stage of a recipe")
        command.add_argument("--recipe", choices=sorted(RECIPES), required=True)
        command.add_argument("--work", required=True, help="folder of this run")
    verify = commands.add_parser("verify", help="check a release directory against its manifest")
    verify.add_argument("release", help="release directory")
    return parser


if __name__ == "__main__":
    sys.exit(main())
