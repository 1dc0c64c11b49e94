"""Problems of public data sets -> problems whose tests are known to judge programs."""

import hashlib
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reward_model.release.release import sha256
from trainer.feedback.grading import SANDBOX_FAILED, Grader, fault_of
from trainer.feedback.problem import STEM, Problem, read_problems
from trainer.feedback.readers.apps import Apps
from trainer.feedback.readers.competition_math import CompetitionMath
from trainer.feedback.readers.gsm8k import Gsm8k
from trainer.feedback.readers.human_eval import HumanEval
from trainer.feedback.readers.mbpp import Mbpp
from trainer.feedback.readers.plain import Plain
from trainer.feedback.readers.reader import Reader
from trainer.feedback.sandbox.open import SandboxConfig, open_sandbox
from trainer.feedback.sandbox.types import Limits
from trainer.feedback.threads import in_threads
from trainer.feedback.verdict_ledger import VerdictLedger
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import StageError, writing_stage
from trainer.preferences.source import Dataset
from trainer.tables.files import NumberedRow, find_files, read_file
from trainer.tables.record import Record, Unusable


@dataclass(frozen=True)
class ProblemsConfig:
    """Which problems a policy is asked to solve.

    Attributes:
        source: the format of the rows.
        paths: files, folders or patterns, relative to the work folder. There are either these or a
            `dataset`.
        max_problems: problems that are kept. They are drawn by hash, so that those of a lower limit
            are among those of a higher one.
        seed: seed of the draw.
        without: stages of problems, such as a probe drawn from the same file, whose problems are
            left out here.
        unlabelled: keep problems that have neither tests nor a reference answer. Only votes can
            label their samples.
        check_gold: run the tests on the reference program, which must pass all of them, and on an
            empty program, which must fail. Problems where that is not so judge nothing and are left
            out. Without a reference only the empty program is run.
        tolerance: absolute or relative difference of numbers that count as equal.
        require_gold: leave out problems that have no reference to check their tests with.
    """

    source: Mbpp | HumanEval | Apps | Plain | Gsm8k | CompetitionMath
    paths: tuple[str, ...] = ()
    dataset: Dataset | None = None
    max_problems: int | None = None
    seed: int = 1
    without: tuple[str, ...] = ()
    unlabelled: bool = False
    check_gold: bool = True
    require_gold: bool = False
    tolerance: float = 1e-6
    limits: Limits = field(default_factory=Limits)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    rows_per_shard: int = 10_000


@dataclass
class LeftOut:
    """Problems and rows that are not used: their number and their ids by reason."""

    places: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, reason: str, place: str) -> None:
        self.places[reason].append(place)

    def counts(self) -> dict[str, int]:
        return {f"left out: {reason}": len(ids) for reason, ids in self.places.items()}


def run(config: ProblemsConfig, inputs: Path, output: Path) -> None:
    """Read the problems, check them, and write those that can be used, in the source's order.

    Verdicts are kept in `<output>-ledger` too, so that an interrupted check goes on.
    """
    left_out = LeftOut()
    counts: Counter[str] = Counter()
    problems = read_source(config, inputs, left_out, counts)
    taken = {each.group for stage in config.without for each in read_problems(inputs / stage)}
    if taken:
        counts["of another stage"] = sum(problem.group in taken for problem in problems)
        problems = [problem for problem in problems if problem.group not in taken]
    if config.max_problems is not None:
        problems = drawn(problems, config.max_problems, config.seed)
        counts["over max_problems"] = counts["read"] - counts["of another stage"] - len(problems)
    # Nothing runs for problems of mathematics, which then need no sandbox.
    programs = [problem for problem in problems if problem.tests]
    isolation = ""
    if config.check_gold and programs:
        ledger = output.with_name(f"{output.name}-ledger") / "verdicts.sqlite"
        with open_sandbox(config.sandbox) as sandbox, VerdictLedger(ledger) as known:
            isolation = sandbox.isolation
            grader = Grader(sandbox, config.limits, tolerance=config.tolerance, ledger=known)
            faulty = faults(grader, programs, sandbox.workers, left_out)
        problems = [problem for problem in problems if problem.id not in faulty]
    if not problems:
        reasons = "; ".join(f"{reason} ({len(ids)})" for reason, ids in left_out.places.items())
        raise StageError(
            f"no problem can be used as {config.source.kind}: {reasons or 'no rows'}: name another "
            "format, split or file"
        )
    with writing_stage(config, output, reads=[inputs / each for each in config.without]) as draft:
        write_shards(draft.path, STEM, problems, config.rows_per_shard)
        counts["problems"] = len(problems)
        counts["tests"] = sum(len(problem.tests) for problem in problems)
        counts["with a reference"] = sum(bool(problem.gold) for problem in problems)
        draft.facts["counts"] = dict(counts) | left_out.counts()
        draft.facts["isolation"] = isolation
        draft.facts["left_out"] = dict(left_out.places)
        draft.facts["read"] = {
            Path(file.path).name: sha256(Path(file.path))
            for path in config.paths
            for file in find_files(path, inputs)
            if Path(file.path).is_file()
        }
        for reason, ids in left_out.places.items():
            shown = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
            print(f"problems: {len(ids)} left out: {reason} ({shown})", file=sys.stderr, flush=True)


def read_source(
    config: ProblemsConfig, inputs: Path, left_out: LeftOut, counts: Counter[str]
) -> list[Problem]:
    """All problems of the source that have what the config asks for; each id comes once."""
    reader: Reader = config.source  # mypy checks here that every class of the union is a Reader
    found: dict[str, Problem] = {}
    rows = rows_of(config, inputs)
    for place, record in ProgressBar(rows, desc="read problems", unit=" rows"):
        counts["rows"] += 1
        try:
            if isinstance(record, Unusable):
                raise record
            if absent := [column for column in reader.columns if column not in record]:
                raise Unusable(f"no column {absent[0]}")
            problem = reader.read(record)
            if problem is None:
                counts["of another split"] += 1
                continue
        except Unusable as reason:
            left_out.add(str(reason), place)
            continue
        if not problem.tests and problem.kind != "math" and not config.unlabelled:
            left_out.add("no tests", problem.id)
        elif not problem.gold and problem.kind == "math" and not config.unlabelled:
            left_out.add("no reference answer", problem.id)
        elif not problem.gold and config.require_gold:
            left_out.add("no reference", problem.id)
        elif problem.id in found:
            left_out.add("another row has the same id", place)
        else:
            found[problem.id] = problem
    counts["read"] = len(found)
    return list(found.values())


def faults(grader: Grader, problems: list[Problem], workers: int, left_out: LeftOut) -> set[str]:
    """Ids of problems whose tests judge nothing, each put under its reason.

    Raises:
        StageError: the sandbox failed, so that it is not known of some.
    """
    checked = in_threads(
        lambda problem: fault_of(problem, grader),
        problems,
        workers,
        what="check tests",
        unit="problems",
    )
    found = {problem.id: fault for problem, fault in zip(problems, checked, strict=True)}
    if failed := [name for name, fault in found.items() if fault == SANDBOX_FAILED]:
        raise StageError(
            f"the sandbox failed on {len(failed)} of {len(problems)} problems, such as "
            f"{failed[0]}, which says nothing about them: see what `python -m trainer sandbox` "
            "says, then run this stage again. Verdicts so far are kept"
        )
    for name, fault in found.items():
        if fault:
            left_out.add(fault, name)
    return {name for name, fault in found.items() if fault}


def rows_of(config: ProblemsConfig, inputs: Path) -> Iterator[tuple[str, Record | Unusable]]:
    """All rows of the source, each with its file and number."""
    if bool(config.paths) == (config.dataset is not None):
        raise StageError("the problems need either paths or a dataset")
    tables: list[tuple[str, Iterator[NumberedRow]]] = []
    if config.dataset is not None:
        tables.append((config.dataset.path, config.dataset.read()))
    for path in config.paths:
        tables += [(Path(file.path).name, read_file(file)) for file in find_files(path, inputs)]
    for name, rows in tables:
        for number, record in rows:
            yield f"{name}:{number}", record


def drawn(problems: list[Problem], limit: int, seed: int) -> list[Problem]:
    """The `limit` problems with the lowest hashes, in the order given."""

    def rank(problem: Problem) -> bytes:
        return hashlib.sha256(f"{seed} {problem.id}".encode()).digest()

    kept = {problem.id for problem in sorted(problems, key=rank)[:limit]}
    return [problem for problem in problems if problem.id in kept]
