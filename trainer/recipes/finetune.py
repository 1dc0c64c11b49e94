"""A base model and a preference file -> a release: LoRA, on one GPU or a few CPU cores.

    python -m trainer run --recipe finetune --work WORK --set finetune.start=BASE

BASE is a directory or a hub id, and the file is `preferences.jsonl` of the work folder. Everything
else has a default; docs/recipes.md shows how to name other files and formats.
"""

from trainer.evaluation import calibrate, evaluate
from trainer.evaluation.calibrate import CalibrateConfig
from trainer.evaluation.evaluate import EvaluateConfig
from trainer.evaluation.tasks import PairsTask
from trainer.pipeline.recipe import Recipe, Stage
from trainer.preferences import gather as preferences
from trainer.preferences.formats.trl import Trl
from trainer.preferences.gather import PreferencesConfig
from trainer.preferences.source import PreferenceSource
from trainer.publishing import publish
from trainer.publishing.publish import PublishConfig
from trainer.training import finetune
from trainer.training.config import LoraAdapters
from trainer.training.finetune import FinetuneConfig


def recipe() -> Recipe:
    """Preferences, one epoch of LoRA, calibration, evaluation on held-out prompts, release."""
    source = PreferenceSource("preferences", Trl(), paths=("preferences.jsonl",))
    return Recipe(
        "finetune",
        {
            "preferences": Stage(preferences.run, PreferencesConfig(sources=(source,))),
            "finetune": Stage(
                finetune.run,
                FinetuneConfig(
                    start="HuggingFaceTB/SmolLM2-135M-Instruct",
                    prompts_per_step=8,
                    learning_rate=3e-4,  # LoRA takes about ten times the rate of a full finetune
                    lora=LoraAdapters(),
                ),
            ),
            "calibrate": Stage(
                calibrate.run, CalibrateConfig(checkpoint="finetune", pairs="preferences")
            ),
            "evaluate": Stage(
                evaluate.run,
                EvaluateConfig(
                    checkpoint="finetune",
                    calibration="calibrate",
                    tasks=(PairsTask(name="preferences", stage="preferences"),),
                ),
                evaluate.check,
            ),
            "publish": Stage(
                publish.run,
                PublishConfig(
                    name="finetuned",
                    version="1",
                    command="python -m trainer run --recipe finetune --work WORK",
                    checkpoint="finetune",
                    pairs="preferences",
                ),
            ),
        },
    )
