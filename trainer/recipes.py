"""Complete runs as frozen configs. A variant calls another recipe and replaces what differs."""

from dataclasses import dataclass, replace

from trainer.base import BaseConfig
from trainer.calibrate import CalibrateConfig
from trainer.corpus import CorpusConfig
from trainer.evaluate import EvaluateConfig
from trainer.generate import GenerateConfig
from trainer.loss import LossWeights
from trainer.pairs import PairsConfig
from trainer.pretrain import PretrainConfig, warm_up
from trainer.publish import PublishConfig

_HARDER_RELEVANCE = GenerateConfig(
    mutants=3, truncated=0, repeated=1, other_functions=3, other_bodies=0
)
"""Without names to match, other functions take more practice."""


@dataclass(frozen=True)
class Recipe:
    """The config of every stage, in the order in which they run."""

    corpus: CorpusConfig
    pairs: PairsConfig
    base: BaseConfig
    warmup: PretrainConfig
    pretrain: PretrainConfig
    plain_pairs: PairsConfig
    relevance: PretrainConfig
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
        plain_pairs=PairsConfig(seed=2, named=False, undescribed=0.0, most_held_out=300),
        relevance=PretrainConfig(
            start="pretrain",
            pairs="plain_pairs",
            steps=40,
            prompts_per_step=8,
            learning_rate=1e-3,
            weights=LossWeights(tokens=1.0),
            decay=0.7,
        ),
        calibrate=CalibrateConfig(checkpoint="relevance"),
        evaluate=EvaluateConfig(checkpoint="relevance"),
        publish=PublishConfig(
            name="cpu-tiny", version="1", command="runs/tiny.sh", checkpoint="relevance"
        ),
    )


def tiny_code_rm() -> Recipe:
    """The embedded default: `cpu_tiny` with more packages, trained for two hours on two cores."""
    tiny = cpu_tiny()
    return replace(
        tiny,
        corpus=CorpusConfig(folders=("packages",), installed=False),
        pairs=PairsConfig(),
        warmup=replace(tiny.warmup, steps=1300, decay=0.2),
        pretrain=replace(tiny.pretrain, steps=1250),
        plain_pairs=replace(tiny.plain_pairs, most_held_out=1500, generate=_HARDER_RELEVANCE),
        relevance=replace(tiny.relevance, steps=270),
        publish=PublishConfig(
            name="tiny-code-rm",
            version="2026-11-21.2",
            command="runs/tiny_code_rm.sh",
            checkpoint="relevance",
        ),
    )


RECIPES = {"cpu_tiny": cpu_tiny, "tiny_code_rm": tiny_code_rm}
