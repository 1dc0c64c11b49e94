"""All stages in minutes on two CPU cores, from the packages that are installed here."""

from trainer.corpus import gather
from trainer.corpus.gather import CorpusConfig
from trainer.evaluation import calibrate, evaluate
from trainer.evaluation.calibrate import CalibrateConfig
from trainer.evaluation.evaluate import EvaluateConfig
from trainer.pairs import make
from trainer.pairs.embedded import RejectedConfig
from trainer.pairs.make import PairsConfig
from trainer.pipeline.recipe import Recipe, Stage
from trainer.publishing import publish
from trainer.publishing.publish import PublishConfig
from trainer.training import base, pretrain
from trainer.training.base import BaseConfig
from trainer.training.objective.losses import LossWeights
from trainer.training.pretrain import PretrainConfig, warm_up


def recipe() -> Recipe:
    """From source code to a release, without any model that somebody else has trained."""
    return Recipe(
        "cpu_tiny",
        {
            # Both limits are below the defaults, so that corpus and evaluation take minutes.
            "corpus": Stage(gather.run, CorpusConfig(max_per_package=400)),
            "pairs": Stage(make.run, PairsConfig(max_held_out=300)),
            "base": Stage(base.run, BaseConfig()),
            "warmup": Stage(
                pretrain.run,
                warm_up(start="base", max_steps=120, prompts_per_step=24, learning_rate=4e-3),
            ),
            "pretrain": Stage(
                pretrain.run,
                PretrainConfig(
                    start="warmup",
                    max_steps=120,
                    prompts_per_step=8,
                    learning_rate=2e-3,
                    # With this term the ranking loss is lower at equal steps (docs/decisions.md).
                    weights=LossWeights(tokens=1.0),
                ),
            ),
            "hard_pairs": Stage(make.run, hard_pairs()),
            "harden": Stage(
                pretrain.run,
                PretrainConfig(
                    start="pretrain",
                    pairs="hard_pairs",
                    max_steps=40,
                    prompts_per_step=8,
                    learning_rate=1.5e-3,
                    weights=LossWeights(lm=0.3, tokens=1.0),
                    decay_ratio=0.6,
                ),
            ),
            "calibrate": Stage(calibrate.run, CalibrateConfig(checkpoint="harden")),
            "evaluate": Stage(evaluate.run, EvaluateConfig(checkpoint="harden"), evaluate.check),
            "publish": Stage(
                publish.run,
                PublishConfig(
                    name="cpu-tiny", version="1", command="runs/tiny.sh", checkpoint="harden"
                ),
            ),
        },
    )


def hard_pairs() -> PairsConfig:
    """Pairs for a second round of training: single slips, and relevance without names.

    The functions are short, because short ones hold more of both for each token.
    """
    return PairsConfig(
        seed=2,  # other wordings and other mutants of the same functions than in `pairs`
        named=False,
        undescribed=0.0,
        methods=0.4,
        neighbours=True,
        max_characters=500,
        max_held_out=0,  # calibration and evaluation read the held-out rows of `pairs`
        generate=RejectedConfig(
            mutants=6, truncated=1, repeated=1, other_functions=2, other_bodies=1
        ),
    )
