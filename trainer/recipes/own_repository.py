"""A clone of your own repository -> a release, at a size for two CPU cores.

    python -m trainer run --recipe own_repository --work WORK --set commits.repository=PATH

Functions after a commit are preferred to the same before it, with the commit's message as the
request; where history gives few pairs, mutants of the repository's functions join them.
"""

from trainer.evaluation import calibrate, evaluate
from trainer.evaluation.calibrate import CalibrateConfig
from trainer.evaluation.evaluate import EvaluateConfig
from trainer.evaluation.tasks import PairsTask
from trainer.history import make as history
from trainer.history.make import CommitsConfig
from trainer.pipeline.recipe import Recipe, Stage
from trainer.publishing import publish
from trainer.publishing.publish import PublishConfig
from trainer.training import finetune
from trainer.training.config import LoraAdapters
from trainer.training.finetune import FinetuneConfig, Mix


def recipe() -> Recipe:
    """Pairs from history, LoRA, calibration, evaluation on files that are held out, release."""
    return Recipe(
        "own_repository",
        {
            "commits": Stage(
                history.run,
                CommitsConfig(own=True, min_rows=600, max_held_out=150),
                history.check,
            ),
            "finetune": Stage(
                finetune.run,
                FinetuneConfig(
                    start="HuggingFaceTB/SmolLM2-135M-Instruct",
                    mixture=(Mix("commits", max_rows=600),),
                    prompts_per_step=8,
                    gradient_accumulation_steps=4,  # a quarter of the memory
                    learning_rate=3e-4,  # LoRA takes about ten times the rate of a full finetune
                    max_length=1024,
                    lora=LoraAdapters(),
                ),
            ),
            "calibrate": Stage(
                calibrate.run, CalibrateConfig(checkpoint="finetune", pairs="commits")
            ),
            "evaluate": Stage(
                evaluate.run,
                EvaluateConfig(
                    checkpoint="finetune",
                    calibration="calibrate",
                    tasks=(PairsTask(name="your repository", stage="commits"),),
                ),
                evaluate.check,
            ),
            "publish": Stage(
                publish.run,
                PublishConfig(
                    name="own-repository",
                    version="1",
                    command="python -m trainer run --recipe own_repository --work WORK",
                    checkpoint="finetune",
                    pairs="commits",
                ),
            ),
        },
    )
