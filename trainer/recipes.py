"""Complete runs as frozen configs. A variant calls another recipe and replaces what differs."""

from dataclasses import dataclass, replace

from trainer.base import BaseConfig
from trainer.calibrate import CalibrateConfig
from trainer.corpus import CorpusConfig
from trainer.evaluate import EvaluateConfig
from trainer.loss import LossWeights
from trainer.pairs import PairsConfig
from trainer.pretrain import PretrainConfig, warm_up
from trainer.publish import PublishConfig


@dataclass(frozen=True)
class Recipe:
    """The config of every stage, in the order in which they run."""

    corpus: CorpusConfig
    pairs: PairsConfig
    base: BaseConfig
    warmup: PretrainConfig
    pretrain: PretrainConfig
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
        calibrate=CalibrateConfig(),
        evaluate=EvaluateConfig(),
        publish=PublishConfig(name="cpu-tiny", version="1", command="runs/tiny.sh"),
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
        publish=PublishConfig(
            name="tiny-code-rm", version="2026-11-21.1", command="runs/tiny_code_rm.sh"
        ),
    )


RECIPES = {"cpu_tiny": cpu_tiny, "tiny_code_rm": tiny_code_rm}
