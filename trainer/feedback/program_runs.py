"""What every program did on every test input: rows of the stage `runs`, which the votes read."""

from dataclasses import dataclass
from pathlib import Path

from trainer.feedback.sandbox.types import Status
from trainer.pipeline.shards import read_shards

STEM = "runs"


@dataclass(frozen=True)
class InputRun:
    """All runs of one program on one input.

    Attributes:
        statuses: one for each repeat. `INFRASTRUCTURE` stands for a run that is still missing, and
            says nothing about the program.
        outputs: for each repeat the canonical text of what a function returned or a script printed;
            `sha256:` and the hash where the text is long; empty unless the repeat ended `OK`.
        cpu_seconds: CPU time of all repeats together.
        peak_memory: bytes of the largest repeat; 0 where it is not known.
    """

    statuses: tuple[Status, ...]
    outputs: tuple[str, ...]
    cpu_seconds: float = 0.0
    peak_memory: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether no repeat is missing."""
        return Status.INFRASTRUCTURE not in self.statuses

    @property
    def agrees(self) -> bool:
        """Whether all repeats ended alike and with the same output."""
        return len(set(zip(self.statuses, self.outputs, strict=True))) == 1

    @property
    def output(self) -> str | None:
        """The output if all repeats ended well with the same one, else None.

        The empty text is an output: a script that prints nothing ended well.
        """
        ended_well = self.agrees and self.statuses[0] is Status.OK
        return self.outputs[0] if ended_well else None


@dataclass(frozen=True)
class ProgramRuns:
    """A sample's program, or a problem's gold program, on all test inputs of the problem.

    Attributes:
        sample: id of the sample; empty for a gold program.
        code_hash: sha256 of the program; equal programs of a problem were run once.
        outcomes: one for each input of the problem, in the order of the stage `inputs`.
        is_gold: whether it is the problem's reference program, which is there to measure pseudo
            labels and makes none.
    """

    sample: str
    problem: str
    code_hash: str
    outcomes: tuple[InputRun, ...]
    is_gold: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether no run is missing; a program with a missing one gets no label."""
        return all(outcome.is_complete for outcome in self.outcomes)


def read_program_runs(folder: Path) -> list[ProgramRuns]:
    """All rows of a finished stage `runs`."""
    return read_shards(folder, STEM, ProgramRuns)
