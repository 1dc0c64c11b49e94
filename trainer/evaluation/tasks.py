"""Which tasks an evaluation runs: a config for each kind."""

from dataclasses import dataclass
from typing import Literal


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
        files: paths or patterns, seen from the run's folder.
        answers: how candidates agree, for votes. `math`: by their final answers, which math-verify
            compares; `text`: by their whole text; `none`: no votes.
        within_family: only candidates of one model family compete, where models are `family/name`.
        largest: N, at most.
        most: questions, at most; a sample of them where there are more.
    """

    files: tuple[str, ...]
    name: str = "candidates"
    answers: Literal["math", "text", "none"] = "none"
    within_family: bool = False
    largest: int = 256
    most: int | None = None
    kind: Literal["candidates"] = "candidates"


@dataclass(frozen=True)
class ChoiceTask:
    """Multiple choice: passages with questions, options and a key."""

    files: tuple[str, ...]
    name: str = "multiple choice"
    most: int | None = None
    kind: Literal["choice"] = "choice"


@dataclass(frozen=True)
class RewardBenchTask:
    """RewardBench's `filtered` split."""

    files: tuple[str, ...]
    name: str = "RewardBench"
    kind: Literal["reward_bench"] = "reward_bench"


@dataclass(frozen=True)
class RewardBench2Task:
    """RewardBench 2's `test` split."""

    files: tuple[str, ...]
    name: str = "RewardBench 2"
    kind: Literal["reward_bench_2"] = "reward_bench_2"


@dataclass(frozen=True)
class ProcessBenchTask:
    """ProcessBench's files.

    Attributes:
        tune_on: the file whose best threshold all are read with.
    """

    files: tuple[str, ...]
    name: str = "ProcessBench"
    tune_on: str = "gsm8k"
    most: int | None = None
    kind: Literal["process_bench"] = "process_bench"


Task = (
    PairsTask | CandidatesTask | ChoiceTask | RewardBenchTask | RewardBench2Task | ProcessBenchTask
)
