"""The policy that rounds begin with, named once for all stages of a recipe."""

import json
from dataclasses import dataclass
from pathlib import Path

from trainer.feedback.serving import POINTER, find_policy, identify
from trainer.pipeline.stage import StageError, writing_stage


@dataclass(frozen=True)
class StartPolicyConfig:
    """A directory or hub id of a causal language model with a chat template."""

    policy: str


def run(config: StartPolicyConfig, inputs: Path, output: Path) -> None:
    """Write `policy.json`, which stages that name this one as their policy follow."""
    found = identify(find_policy(config.policy, inputs))
    with writing_stage(config, output) as draft:
        # A directory is told whole: the working directory of another run may be another one.
        place = str(found.folder.absolute()) if Path(config.policy).exists() else config.policy
        (draft.path / POINTER).write_text(json.dumps({"policy": place}) + "\n")
        draft.facts |= {"weights": found.digest, "template": found.template}


def check(config: StartPolicyConfig, inputs: Path) -> None:
    """Raise StageError where the policy is not to be had, before the first stage of a run."""
    if not identify(find_policy(config.policy, inputs)).template:
        raise StageError(
            f"{config.policy} has no chat template: name an instruction-tuned model, or save its "
            "tokenizer with a chat template"
        )
