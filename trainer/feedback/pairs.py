"""Pass counts -> pairs of a policy's answers, for reward models, policies and other trainers.

A rule decides which answers to one problem are compared. Rows for reward models are held out by
problem; rows for policies have exact token ids.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from trainer.feedback.answer_forms import AnswerForm, in_a_form
from trainer.feedback.comparable import LabelledSample, comparable, distinct_answers, kind_of
from trainer.feedback.exports import FILE_FORMATS, FileFormat, write_dataset_info, write_exports
from trainer.feedback.pair_facts import confirm, length_facts
from trainer.feedback.pair_rules import Candidate, PassMargin, Rule, pairs_of
from trainer.feedback.pass_count import read_pass_counts
from trainer.feedback.problem import Problem, read_problems
from trainer.feedback.sample import Sample, read_samples
from trainer.pairs.policy_row import STEM, PolicyAnswer, PolicyRow, read_policy_rows
from trainer.pairs.row import SPLITS, PreferenceRow, Rejected, write_pairs
from trainer.pairs.split import HoldOut
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import StageError, writing_stage
from trainer.preferences.gather import shuffled


@dataclass(frozen=True)
class Replay:
    """Pairs of an earlier round that are trained on again.

    Attributes:
        stage: a folder with policy rows: of earlier pairs, or of process pairs.
        share: of its rows; which ones are drawn by hash.
    """

    stage: str
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class PolicyPairsConfig(HoldOut):
    """The rule that makes pairs, the stages that are read, and the files that are written.

    Attributes:
        rule: which answers to a problem are compared.
        max_pairs_per_problem: more are drawn down to this number by hash; None keeps all.
        rename_locals: whether programs that differ in names of parameters and local variables alone
            are the same program, of which one is kept.
        problems, samples, votes: folders of stages; `votes` has the pass counts.
        truth: a folder with pass counts by given tests, if there is one. Then the manifest tells
            how many pairs those confirm. Nothing else is taken from it.
        source: what the rows tell of how they came about, such as `round 1`.
        policy_rows: rows for policies of the training split alone, or of all problems.
        replay: earlier pairs that are added to the rows for policies.
        forms: forms in which rows for reward models have their answers; one of them is drawn for
            each row, so that the model learns none of them alone.
        cut_short: what becomes of answers that the limit of tokens cut short. Policies must not
            learn them. A reward model ranks such answers too, and has to know them as
            wrong ones; those whose program passes all tests are left out in any case.
        exports: trainers that get files.
        seed: of which pairs are kept where there are too many.
    """

    rule: Rule = field(default_factory=PassMargin)
    max_pairs_per_problem: int | None = None
    rename_locals: bool = True
    problems: str = "problems"
    samples: str = "samples"
    votes: str = "votes"
    truth: str = ""
    source: str = ""
    policy_rows: Literal["train", "all"] = "train"
    replay: tuple[Replay, ...] = ()
    forms: tuple[AnswerForm, ...] = ("answer",)
    cut_short: Literal["left_out", "rejected"] = "left_out"
    exports: tuple[FileFormat, ...] = FILE_FORMATS
    seed: int = 1


def run(config: PolicyPairsConfig, inputs: Path, output: Path) -> None:
    """Write preference rows of each split, policy rows, and files for other trainers.

    Raises:
        StageError: there is no pair, or the pass counts are not of these samples.
    """
    problems = read_problems(inputs / config.problems)
    counts: Counter[str] = Counter()
    labelled = read_labelled(config, problems, inputs, counts)
    rows: list[PolicyRow] = []
    problem_of: dict[str, Problem] = {}
    for problem in ProgressBar(problems, desc="pairs", unit=" problems"):
        made = rows_of(problem, labelled[problem.id], config, counts)
        problem_of |= {row.id: problem for row in made}
        rows += made
    if not rows:
        raise StageError(
            f"no two answers make a pair ({dict(sorted(counts.items()))}): loosen the rule, or "
            "draw more samples of each problem"
        )
    if config.truth:
        confirm(rows, read_pass_counts(inputs / config.truth), counts)
    verdicts = {sample.id: kind_of(passes) for each in labelled.values() for sample, passes in each}
    splits = divide(rows, config, problem_of, verdicts, counts)
    train, held_out = (
        [row for row in rows if (config.split_of(row.group) == "train") is side]
        for side in (True, False)
    )
    trained = train if config.policy_rows == "train" else rows
    trained = trained + replayed(config, inputs, {row.id for row in rows}, counts)
    folders = [config.problems, config.samples, config.votes, config.truth]
    folders += [each.stage for each in config.replay]
    reads = [inputs / name for name in dict.fromkeys(folders) if name]
    with writing_stage(config, output, reads=reads) as draft:
        for split, each in splits.items():
            write_pairs(draft.path, split, each, config.rows_per_shard)
        write_shards(draft.path, STEM, shuffled(trained, config.seed), config.rows_per_shard)
        if config.exports:
            evaluated = [row for row in held_out if config.split_of(row.group) == "evaluation"]
            counts += write_exports(draft.path, config.exports, "train", trained)
            if config.policy_rows == "train":
                write_exports(draft.path, config.exports, "evaluation", evaluated)
        if "llama_factory" in config.exports:
            names = ("train", "evaluation") if config.policy_rows == "train" else ("train",)
            write_dataset_info(draft.path, names)
        draft.facts["counts"] = dict(sorted((+counts).items()))
        draft.facts["length"] = {split: length_facts(each) for split, each in splits.items()}


def read_labelled(
    config: PolicyPairsConfig, problems: Sequence[Problem], inputs: Path, counts: Counter[str]
) -> dict[str, list[LabelledSample]]:
    """Samples with their pass counts by problem; those that cannot be compared are counted.

    Raises:
        StageError: samples and pass counts do not belong together.
    """
    passes = {each.sample: each for each in read_pass_counts(inputs / config.votes)}
    found: dict[str, list[LabelledSample]] = {problem.id: [] for problem in problems}
    seen = set()
    for sample in read_samples(inputs / config.samples):
        seen.add(sample.id)
        if sample.problem not in found:
            raise StageError(
                f"the problem {sample.problem} of {config.samples} is not in {config.problems}: "
                "name the stage of problems that were sampled"
            )
        counted = passes.get(sample.id)
        if counted is None or counted.total < 1:
            counts["answers without a label"] += 1
        elif sample.finish_reason == "length" and (
            config.cut_short == "rejected" and counted.passed < counted.total
        ):
            # Tests that half an answer passes count for nothing: it must never be chosen.
            found[sample.problem].append((sample, replace(counted, passed=0)))
            counts["answers cut short by the limit of tokens, rejected"] += 1
        elif sample.finish_reason == "length":
            # It has no end token, and is as long as the limit, which must not be learnt.
            counts["answers cut short by the limit of tokens"] += 1
        elif not sample.text.strip():
            counts["answers without text"] += 1
        else:
            found[sample.problem].append((sample, counted))
    if strays := passes.keys() - seen:
        raise StageError(
            f"{config.votes} counts {len(strays)} answers that {config.samples} does not have: run "
            f"{config.votes} again"
        )
    return found


def rows_of(
    problem: Problem,
    labelled: Sequence[LabelledSample],
    config: PolicyPairsConfig,
    counts: Counter[str],
) -> list[PolicyRow]:
    """The rows of one problem: a chosen answer with all that are rejected beside it."""
    if not labelled:
        counts["problems without a pair: no labelled answer"] += 1
        return []
    rows = []
    for answers in comparable(labelled):
        distinct = distinct_answers(problem, answers, config.rename_locals, counts)
        by_id = {sample.id: sample for sample, _ in distinct}
        candidates = [Candidate(each.sample, each.passed, each.total) for _, each in distinct]
        pairs = pairs_of(config.rule, candidates, config.max_pairs_per_problem, config.seed, counts)
        rejected: dict[Candidate, list[Candidate]] = defaultdict(list)
        for better, worse in pairs:
            rejected[better].append(worse)
        for better, others in rejected.items():
            sample = by_id[better.id]
            rows.append(
                PolicyRow(
                    id=hash_of([better.id, *(each.id for each in others)]),
                    group=problem.group,
                    prompt=sample.prompt,
                    chosen=answer_of(sample, better.share),
                    rejected=tuple(answer_of(by_id[each.id], each.share) for each in others),
                    prompt_ids=sample.prompt_ids,
                    source=config.source,
                    sampler=sample.sampler.weights,
                    template=sample.sampler.template,
                )
            )
    return rows


def answer_of(sample: Sample, value: float) -> PolicyAnswer:
    return PolicyAnswer(sample.id, sample.text, sample.token_ids, sample.log_probs, value)


def divide(
    rows: Sequence[PolicyRow],
    config: PolicyPairsConfig,
    problem_of: dict[str, Problem],
    kinds: dict[str, str],
    counts: Counter[str],
) -> dict[str, list[PreferenceRow]]:
    """The same pairs as rows for reward models, by split, in the order of their hashes.

    Args:
        problem_of: the problem of each row, by the row's id.
        kinds: what is wrong with each answer, by its id.
    """
    made: list[PreferenceRow] = []
    for row in rows:
        whole = PreferenceRow(
            id=hash_of([row.prompt, row.chosen.text, *(each.text for each in row.rejected)]),
            group=row.group,
            prompt=row.prompt,
            chosen=row.chosen.text,
            rejected=tuple(
                Rejected(kinds[each.id], each.text, row.chosen.value - each.value)
                for each in row.rejected
            ),
            source=row.source,
        )
        formed, form = in_a_form(whole, config.forms, problem_of[row.id], config.seed)
        counts[f"rows as {form}"] += 1
        counts["pairs left out: no such form"] += len(whole.rejected) - len(formed.rejected)
        made.append(formed)
    splits: dict[str, list[PreferenceRow]] = {split: [] for split in SPLITS}
    for each in shuffled(made, config.seed):
        side = config.split_of(each.group)
        if config.is_full(side, len(splits[side])):
            counts[f"{side}: rows over the limit"] += 1
        else:
            splits[side].append(each)
    for side, kept in splits.items():
        counts[f"{side}: rows"] = len(kept)
        counts[f"{side}: pairs"] = sum(len(each.rejected) for each in kept)
        counts[f"{side}: groups"] = len({each.group for each in kept})
    return splits


def replayed(
    config: PolicyPairsConfig, inputs: Path, seen: set[str], counts: Counter[str]
) -> list[PolicyRow]:
    """Rows of earlier rounds; none of a problem that is held out here."""
    rows: list[PolicyRow] = []
    for each in config.replay:
        if not 0 < each.share <= 1:
            raise StageError(f"share of the replayed {each.stage} is {each.share}: it is no share")
        earlier = shuffled(read_policy_rows(inputs / each.stage), config.seed)
        for row in earlier[: round(each.share * len(earlier))]:
            if config.policy_rows == "train" and config.split_of(row.group) != "train":
                counts["replayed rows left out: their problem is held out"] += 1
            elif row.id in seen:
                counts["replayed rows left out: twice"] += 1
            else:
                seen.add(row.id)
                counts[f"rows replayed of {each.stage}"] += 1
                rows.append(row if row.source else replace(row, source=each.stage))
    return rows


def hash_of(parts: list[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
