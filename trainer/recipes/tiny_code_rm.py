"""The embedded default release: `cpu_tiny` with more packages and steps; hours on two cores."""

from dataclasses import replace

from trainer.corpus.gather import CorpusConfig
from trainer.pairs.make import PairsConfig
from trainer.pipeline.recipe import Recipe
from trainer.recipes import cpu_tiny


def recipe() -> Recipe:
    """`cpu_tiny` with the default limits of pairs, and ten to sixty times the steps."""
    return (
        replace(cpu_tiny.recipe(), name="tiny_code_rm")
        # Pinned packages, which runs/tiny_code_rm.sh downloads: what happens to be installed here
        # would make another model on every machine.
        .with_config("corpus", CorpusConfig(folders=("packages",), installed=False))
        .with_config("pairs", PairsConfig())
        .changed("warmup", max_steps=1300, decay_ratio=0.2)
        .changed("pretrain", max_steps=1250)
        .changed("harden", max_steps=2400, prompts_per_step=12)
        .changed(
            "publish",
            name="tiny-code-rm",
            version="2026-11-21.3",
            command="runs/tiny_code_rm.sh",
        )
    )
