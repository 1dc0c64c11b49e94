"""Complete runs as frozen configs. A variant calls another recipe and replaces what differs."""

from dataclasses import dataclass, replace

from trainer.corpus.gather import CorpusConfig
from trainer.evaluation.evaluate import EvaluateConfig
from trainer.pairs.embedded import GenerateConfig
from trainer.pairs.make import PairsConfig
from trainer.publishing.calibrate import CalibrateConfig
from trainer.publishing.publish import PublishConfig
from trainer.training.base import BaseConfig
from trainer.training.loss import LossWeights
from trainer.training.pretrain import PretrainConfig, warm_up

_HARD_PAIRS = PairsConfig(
    seed=2,
    named=False,
    undescribed=0.0,
    methods=0.4,
    neighbours=True,
    most_characters=500,
    generate=GenerateConfig(mutants=6, truncated=1, repeated=1, other_functions=2, other_bodies=1),
)
"""What a first round of training leaves to be learnt: single slips, and relevance without names.

Short functions show more of both for each token.
"""


@dataclass(frozen=True)
class Recipe:
    """The config of every stage, in the order in which they run."""

    corpus: CorpusConfig
    pairs: PairsConfig
    base: BaseConfig
    warmup: PretrainConfig
    pretrain: PretrainConfig
    hard_pairs: PairsConfig
    harden: PretrainConfig
    calibrate: CalibrateConfig
    evaluate: EvaluateConfig
    publish: PublishConfig


def cpu_tiny() -> Recipe:
    """The whole thread in minutes on two cores, from what is installed anyway."""
    return Recipe(
        corpus=CorpusConfig(most_per_package=400),
        pairs=PairsConfig(most_held_out=300),
        base=BaseConfig(),
        warmup=warm_up(start="base", steps=120, prompts_per_step=24, learning_rate=4e-3),
        pretrain=PretrainConfig(
            start="warmup",
            steps=120,
            prompts_per_step=8,
            learning_rate=2e-3,
            weights=LossWeights(tokens=1.0),
        ),
        hard_pairs=replace(_HARD_PAIRS, most_held_out=0),
        harden=PretrainConfig(
            start="pretrain",
            pairs="hard_pairs",
            steps=40,
            prompts_per_step=8,
            learning_rate=1.5e-3,
            weights=LossWeights(lm=0.3, tokens=1.0),
            decay=0.6,
        ),
        calibrate=CalibrateConfig(checkpoint="harden"),
        evaluate=EvaluateConfig(checkpoint="harden"),
        publish=PublishConfig(
            name="cpu-tiny", version="1", command="runs/tiny.sh", checkpoint="harden"
        ),
    )


def tiny_code_rm() -> Recipe:
    """The embedded default: `cpu_tiny` with more packages and steps: three hours on two cores."""
    tiny = cpu_tiny()
    return replace(
        tiny,
        corpus=CorpusConfig(folders=("packages",), installed=False),
        pairs=PairsConfig(),
        warmup=replace(tiny.warmup, steps=1300, decay=0.2),
        pretrain=replace(tiny.pretrain, steps=1250),
        harden=replace(tiny.harden, steps=2400, prompts_per_step=12),
        publish=PublishConfig(
            name="tiny-code-rm",
            version="2026-11-21.3",
            command="runs/tiny_code_rm.sh",
            checkpoint="harden",
        ),
    )


RECIPES = {"cpu_tiny": cpu_tiny, "tiny_code_rm": tiny_code_rm}
