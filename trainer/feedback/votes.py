"""Runs or answers of samples -> votes on what is expected, and how many tests each sample passes.

What is expected comes from given tests, from a frontier model's own programs or answers, or from
self-consistency: the majority of the policy's own (PFPO, arXiv 2411.16345).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from trainer.evaluation.measures.estimate import Resampling
from trainer.evaluation.measures.math_judge import MathJudge
from trainer.feedback import math_votes, pass_count, problem_votes, vote_statistics
from trainer.feedback.candidates import write_candidates
from trainer.feedback.code_votes import count_failures, count_passes, vote
from trainer.feedback.given_tests import grade_samples
from trainer.feedback.grading import Grader
from trainer.feedback.pass_count import PassCount
from trainer.feedback.problem import Problem, read_problems
from trainer.feedback.problem_votes import ProblemVotes
from trainer.feedback.program_runs import ProgramRuns, read_program_runs
from trainer.feedback.sample import Sample, read_samples
from trainer.feedback.sandbox.open import SandboxConfig, open_sandbox
from trainer.feedback.sandbox.types import Limits
from trainer.feedback.verdict_ledger import VerdictLedger
from trainer.feedback.vote_rules import VoteRules
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import StageError, bookkeeping, writing_stage


@dataclass(frozen=True, kw_only=True)
class VotesConfig(VoteRules):
    """The source of the expected outputs, and the stages that are read.

    Attributes:
        expected: where expected outputs come from. `given`: the problems' own tests or answers.
            `frontier`: programs or answers of a frontier model. `majority`: those of the policy
            itself.
        problems, samples, runs: folders of stages. `runs` is read for programs alone; problems with
            a final answer need none.
        frontier_samples, frontier_runs: folders of a frontier model's samples and their runs on the
            same test inputs.
        frontier_choice: whether a frontier model's programs vote, or its first one decides.
        sandbox, limits: where and how far programs run that given tests judge.
        max_timeouts: after this many time-outs a program counts as timed out on further given
            tests, too; None runs it on all, and an endless loop takes its whole limit on each.
        timeout: seconds for reading or comparing final answers once, as a comparison may hang.
        processes: processes that read and compare final answers.
        resamples, seed: of the bootstrap for the 95 % intervals.
        rows_per_shard: rows in one file.
    """

    expected: Literal["given", "frontier", "majority"] = "majority"
    problems: str = "problems"
    samples: str = "samples"
    runs: str = "runs"
    frontier_samples: str = "frontier_samples"
    frontier_runs: str = "frontier_runs"
    frontier_choice: Literal["majority", "first"] = "majority"
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    limits: Limits = field(default_factory=Limits)
    max_timeouts: int | None = None
    timeout: float = 20.0
    processes: int = bookkeeping(2)
    resamples: int = 2000
    seed: int = 1
    rows_per_shard: int = 10_000


VotesAndPasses = tuple[list[ProblemVotes], list[PassCount]]


def run(config: VotesConfig, inputs: Path, output: Path) -> None:
    """Write votes, pass counts, candidates, and statistics as `votes.md` and `votes.svg`.

    Verdicts of given tests are kept in `<output>-ledger` too.

    Raises:
        StageError: samples or runs are not of these problems.
    """
    problems = read_problems(inputs / config.problems)
    names = [problem.id for problem in problems]
    samples = by_problem(read_samples(inputs / config.samples), names, config.samples)
    reads = [config.problems, config.samples]
    if config.expected == "frontier":
        reads.append(config.frontier_samples)
    counts: Counter[str] = Counter()
    votes: list[ProblemVotes] = []
    passes: list[PassCount] = []
    programs = [problem for problem in problems if problem.kind != "math"]
    facts: dict[str, object] = {}
    if programs and config.expected == "given":
        with open_sandbox(config.sandbox) as sandbox:
            ledger = output.with_name(f"{output.name}-ledger") / "verdicts.sqlite"
            with VerdictLedger(ledger) as known:
                grader = Grader(
                    sandbox, config.limits, max_timeouts=config.max_timeouts, ledger=known
                )
                passes = grade_samples(programs, samples, grader, sandbox.workers, counts)
            facts["isolation"] = sandbox.isolation
    elif programs:
        reads += [config.runs, *([config.frontier_runs] if config.expected == "frontier" else [])]
        labels = label_programs(config, programs, samples, inputs, counts)
        votes, passes = votes + labels[0], passes + labels[1]
    answered = [problem for problem in problems if problem.kind == "math"]
    if answered:
        labels = label_answers(config, answered, samples, inputs, counts)
        votes, passes = votes + labels[0], passes + labels[1]
    labelled = {each.sample for each in passes}
    counts["samples"] = sum(map(len, samples.values()))
    counts["samples without a label"] = counts["samples"] - len(labelled)
    resampling = Resampling(config.resamples, config.seed)
    with writing_stage(config, output, reads=[inputs / folder for folder in reads]) as draft:
        write_shards(draft.path, problem_votes.STEM, votes, config.rows_per_shard)
        write_shards(draft.path, pass_count.STEM, passes, config.rows_per_shard)
        write_candidates(draft.path, samples, passes)
        bins = vote_statistics.accuracy_by_share(votes, resampling)
        if bins:
            (draft.path / "votes.md").write_text(vote_statistics.markdown(bins))
            (draft.path / "votes.svg").write_bytes(vote_statistics.svg(bins))
        draft.facts["counts"] = dict(sorted((+counts).items()))
        draft.facts.update(facts)
        if votes:
            draft.facts["statistics"] = vote_statistics.facts(votes, resampling)


def by_problem(
    samples: Iterable[Sample], problems: Iterable[str], folder: str
) -> dict[str, list[Sample]]:
    """Samples of each problem by their numbers.

    Raises:
        StageError: a sample's problem is not there.
    """
    found: dict[str, list[Sample]] = {problem: [] for problem in problems}
    for sample in samples:
        if sample.problem not in found:
            raise StageError(
                f"{folder} has a sample of {sample.problem}, which is none of the problems: run "
                f"{folder} again, or name the problems that it was made of"
            )
        found[sample.problem].append(sample)
    return {name: sorted(each, key=lambda sample: sample.number) for name, each in found.items()}


def label_programs(
    config: VotesConfig,
    problems: Sequence[Problem],
    samples: dict[str, list[Sample]],
    inputs: Path,
    counts: Counter[str],
) -> VotesAndPasses:
    """Votes on test inputs, and passes of programs."""
    runs, golds = divided(read_program_runs(inputs / config.runs))
    voters = runs
    if config.expected == "frontier":
        voters, more_golds = divided(read_program_runs(inputs / config.frontier_runs))
        golds = more_golds | golds
        if config.frontier_choice == "first":
            order = {
                sample.id: sample.number
                for sample in read_samples(inputs / config.frontier_samples)
            }
            first = {
                problem: min(each, key=lambda row: order.get(row.sample, len(order)))
                for problem, each in voters.items()
            }
            voters = defaultdict(list, {problem: [row] for problem, row in first.items()})
    rules: VoteRules = config
    if config.expected == "frontier" and config.min_valid is None:
        rules = replace(config, min_valid=1)
    votes, passes = [], []
    for problem in ProgressBar(problems, desc="votes", unit=" problems"):
        found = vote(problem, voters[problem.id], golds.get(problem.id), rules, counts)
        votes.append(found)
        counts[f"problems: {found.left_out or 'with labels'}"] += 1
        if found.left_out:
            counts["samples without a label: their problem has none"] += len(samples[problem.id])
        else:
            passes += count_passes(problem, found, runs[problem.id], counts)
            ran = {each.sample for each in runs[problem.id]}
            not_run = [each for each in samples[problem.id] if each.id not in ran]
            passes += count_failures(problem, found, not_run, counts)
    return votes, passes


def divided(
    rows: Iterable[ProgramRuns],
) -> tuple[defaultdict[str, list[ProgramRuns]], dict[str, ProgramRuns]]:
    """Runs of samples by problem, and those of gold programs, which have no vote."""
    runs: defaultdict[str, list[ProgramRuns]] = defaultdict(list)
    golds = {}
    for row in rows:
        if row.is_gold:
            golds[row.problem] = row
        else:
            runs[row.problem].append(row)
    return runs, golds


def label_answers(
    config: VotesConfig,
    problems: Sequence[Problem],
    samples: dict[str, list[Sample]],
    inputs: Path,
    counts: Counter[str],
) -> VotesAndPasses:
    """Votes on final answers, and which samples end in the expected one."""
    own = [sample for problem in problems for sample in samples[problem.id]]
    with MathJudge(timeout=config.timeout, processes=config.processes) as judge:
        answers = math_votes.final_answers(own, judge)
        references = math_votes.reference_answers(problems, judge)
        if config.expected == "given":
            votes: list[ProblemVotes] = []
            expected = references
            counts["problems: without a given answer"] = len(problems) - len(references)
        else:
            said = answers
            voters = samples
            if config.expected == "frontier":
                folder = config.frontier_samples
                voters = by_problem(read_samples(inputs / folder), samples, folder)
                if config.frontier_choice == "first":
                    voters = {name: each[:1] for name, each in voters.items()}
                theirs = [sample for problem in problems for sample in voters[problem.id]]
                said = math_votes.final_answers(theirs, judge)
            ballots = [[said[sample.id] for sample in voters[each.id]] for each in problems]
            votes = math_votes.vote_on_answers(problems, ballots, config, judge, counts)
            votes = math_votes.against_references(votes, references, judge)
            expected = {
                each.problem: each.inputs[0].expected for each in votes if not each.left_out
            }
        passes = math_votes.count_right(own, answers, expected, judge, counts)
        counts.update({f"answers: {reason}": n for reason, n in judge.counts.items()})
    return votes, passes
