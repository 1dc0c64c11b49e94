"""The function and the type of config of each kind of stage, for recipes that add one."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, get_type_hints

from trainer.pipeline.recipe import Stage

# Modules with a function `run`, and `check` where a user has to bring something. Names and not
# modules: a recipe imports only what its own stages need.
MODULES = {
    "commits": "trainer.history.make",
    "corpus": "trainer.corpus.gather",
    "pairs": "trainer.pairs.make",
    "strong_lm": "trainer.synthesis.generators",
    "weak_lm": "trainer.synthesis.generators",
    "describe": "trainer.synthesis.describe",
    "strong": "trainer.synthesis.respond",
    "weak": "trainer.synthesis.respond",
    "llm_pairs": "trainer.synthesis.combine",
    "base": "trainer.training.base",
    "warmup": "trainer.training.pretrain",
    "pretrain": "trainer.training.pretrain",
    "hard_pairs": "trainer.pairs.make",
    "harden": "trainer.training.pretrain",
    "start": "trainer.policy.start_policy",
    "problems": "trainer.feedback.problems",
    "inputs": "trainer.feedback.test_inputs",
    "samples": "trainer.feedback.samples",
    "runs": "trainer.feedback.execution",
    "votes": "trainer.feedback.votes",
    "policy_pairs": "trainer.feedback.pairs",
    "prefixes": "trainer.feedback.prefixes",
    "completions": "trainer.feedback.prefix_completions",
    "process_pairs": "trainer.feedback.process_pairs",
    "step_labels": "trainer.feedback.step_labels",
    "mutants": "trainer.feedback.mutants",
    "mutation_labels": "trainer.feedback.mutation_labels",
    "preferences": "trainer.preferences.gather",
    "finetune": "trainer.training.finetune",
    "dpo": "trainer.policy.dpo",
    "token_weights": "trainer.policy.token_weights",
    "gate": "trainer.policy.gate",
    "calibrate": "trainer.evaluation.calibrate",
    "evaluate": "trainer.evaluation.evaluate",
    "policy_report": "trainer.policy.report",
    "publish": "trainer.publishing.publish",
}


def stage_kind(kind: str) -> tuple[type[Any], Callable[[Any], Stage[Any]]]:
    """The type of the configs of this kind of stage, and what makes a stage of one."""
    module = import_module(MODULES[kind])
    config: type[Any] = get_type_hints(module.run)["config"]
    return config, partial(Stage, module.run, check=getattr(module, "check", None))
