"""Tasks that an evaluation can run: a config for each kind."""

from dataclasses import dataclass, field
from typing import Literal

from trainer.pipeline.stage import StageError

# `kind` tells the configs apart when a recipe or a manifest is read back.

# The usual names of criteria for the aspects of CodeRewardBench.
ASPECT_CRITERIA = {
    "Functional_Correctness": "correctness",
    "Readability_Maintainability": "readability",
    "Runtime_Efficiency": "runtime",
    "Memory_Efficiency": "memory",
    "Security_Hardness": "security",
}


@dataclass(frozen=True)
class PairsTask:
    """Pairwise accuracy on one split of a stage of pairs, with calibration and length bias."""

    name: str = "pairs"
    stage: str = "pairs"
    split: str = "evaluation"
    kind: Literal["pairs"] = "pairs"


@dataclass(frozen=True)
class CandidatesTask:
    """Best-of-N over labelled candidate sets.

    Attributes:
        files: paths or patterns, relative to the run's folder.
        stage: a stage whose `candidates.jsonl` is read, in place of files: `votes` writes one.
        answers: how candidates agree, for votes. `math`: math-verify compares their final answers;
            `text`: their whole texts are equal; `none`: there are no votes.
        within_family: only candidates of one model family compete; models are named `family/name`.
        max_n: the largest N of the curve.
        max_questions: more are sampled down to this number; None for all.
    """

    files: tuple[str, ...] = ()
    name: str = "candidates"
    stage: str = ""
    answers: Literal["math", "text", "none"] = "none"
    within_family: bool = False
    max_n: int = 256
    max_questions: int | None = None
    kind: Literal["candidates"] = "candidates"

    def __post_init__(self) -> None:
        """Raise StageError unless there is one place to read candidates from."""
        if bool(self.files) == bool(self.stage):
            raise StageError(f"{self.name}: name its files or a stage, and not both")


@dataclass(frozen=True)
class ChoiceTask:
    """Multiple choice: passages with questions, options and a key."""

    files: tuple[str, ...]
    name: str = "multiple choice"
    max_questions: int | None = None
    kind: Literal["choice"] = "choice"


@dataclass(frozen=True)
class RewardBenchTask:
    """RewardBench's `filtered` split."""

    files: tuple[str, ...]
    name: str = "RewardBench"
    max_questions: int | None = None
    kind: Literal["reward_bench"] = "reward_bench"


@dataclass(frozen=True)
class RewardBench2Task:
    """RewardBench 2's `test` split."""

    files: tuple[str, ...]
    name: str = "RewardBench 2"
    max_questions: int | None = None
    kind: Literal["reward_bench_2"] = "reward_bench_2"


@dataclass(frozen=True)
class CodeRewardBenchTask:
    """CodeRewardBench's `Full` split.

    Attributes:
        criteria: the criterion that judges the pairs of each aspect; those of an aspect for which
            the model has none are scored without.
    """

    files: tuple[str, ...]
    name: str = "CodeRewardBench"
    criteria: dict[str, str] = field(default_factory=lambda: dict(ASPECT_CRITERIA))
    max_questions: int | None = None
    kind: Literal["code_reward_bench"] = "code_reward_bench"


@dataclass(frozen=True)
class ProcessBenchTask:
    """ProcessBench's files.

    Attributes:
        tune_on: the file whose best threshold is used for all of them.
    """

    files: tuple[str, ...]
    name: str = "ProcessBench"
    tune_on: str = "gsm8k"
    max_questions: int | None = None
    kind: Literal["process_bench"] = "process_bench"


FileTask = (
    CandidatesTask
    | ChoiceTask
    | RewardBenchTask
    | RewardBench2Task
    | CodeRewardBenchTask
    | ProcessBenchTask
)
"""A task whose questions are read from files."""

Task = PairsTask | FileTask
