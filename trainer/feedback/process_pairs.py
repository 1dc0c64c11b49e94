"""Values of prefixes -> process pairs: a promising prefix over one that leads nowhere (pDPO)."""

import hashlib
import json
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from trainer.feedback.pass_count import read_pass_counts
from trainer.feedback.prefix_values import PrefixValue, prefix_values
from trainer.feedback.prefixes import Prefix, read_prefixes
from trainer.feedback.problem import Problem, read_problems
from trainer.feedback.sample import read_samples
from trainer.pairs.policy_row import STEM, PolicyAnswer, PolicyRow
from trainer.pairs.split import HoldOut
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import StageError, writing_stage


@dataclass(frozen=True, kw_only=True)
class ProcessPairsConfig(HoldOut):
    """Which prefixes of a problem are compared. The defaults are PFPO's (arXiv 2411.16345).

    Attributes:
        passes: stage of the pass counts of `completions`.
        min_completions: prefixes with fewer labelled completions are left out.
        min_value: a prefix is chosen if its value, a mean share of tests, is at least this.
        margin_tests: a prefix is rejected if its completions pass, in the mean, more than this many
            tests fewer than those of the chosen one.
        margin_share: the same as a share of the tests, for problems of few or of unequally many;
            `margin_tests` does not count then.
        math_min_value, math_max_value: with final answers instead of tests, shares of right
            completions from which a prefix is chosen, and up to which it is rejected.
        nested: whether a prefix may be compared with its own continuation. Then only the part that
            one has more is learnt.
        max_pairs: pairs of one problem.
        max_rejected: rejected prefixes beside one chosen; they share the prompt's computation.
        source: what the rows tell of how they came about, such as `round 1`.
        policy_rows: rows of the training split alone, or of all problems. The same groups are held
            out as in `policy_pairs`.
        seed: of which pairs are kept where there are too many.
    """

    problems: str = "problems"
    prefixes: str = "prefixes"
    completions: str = "completions"
    passes: str = "votes_completions"
    min_completions: int = 3
    min_value: float = 0.5
    margin_tests: float = 4.0
    margin_share: float | None = None
    math_min_value: float = 2 / 3
    math_max_value: float = 1 / 3
    nested: bool = True
    max_pairs: int = 16
    max_rejected: int = 4
    source: str = ""
    policy_rows: Literal["train", "all"] = "train"
    seed: int = 1


Valued = tuple[Prefix, PrefixValue]


def run(config: ProcessPairsConfig, inputs: Path, output: Path) -> None:
    """Read prefixes with the pass counts of their completions; write policy rows without an end.

    No rows for a reward model are written: it reads its score after an answer's end, and a prefix
    has none. What the values teach such a model is in the stage `step_labels`.
    """
    problems = {problem.id: problem for problem in read_problems(inputs / config.problems)}
    prefixes = read_prefixes(inputs / config.prefixes)
    completions = read_samples(inputs / config.completions)
    passes = read_pass_counts(inputs / config.passes)
    counts: Counter[str] = Counter()
    values = prefix_values(prefixes, completions, passes, config.min_completions, counts)
    by_problem: dict[str, list[Valued]] = defaultdict(list)
    for prefix in prefixes:
        if prefix.problem not in problems:
            raise StageError(
                f"the problem {prefix.problem} of {config.prefixes} is not in {config.problems}: "
                "name the stage of problems that were sampled"
            )
        if prefix.id in values:
            by_problem[prefix.problem].append((prefix, values[prefix.id]))
    rows: list[PolicyRow] = []
    for problem, valued in ProgressBar(by_problem.items(), desc="process pairs", unit=" problems"):
        if config.policy_rows == "train" and config.split_of(problems[problem].group) != "train":
            counts["problem: held out"] += 1
        else:
            rows += rows_of(problems[problem], valued, config, counts)
    counts["rows"] = len(rows)
    counts["pairs"] = sum(len(row.rejected) for row in rows)
    if not rows:
        raise StageError(
            f"no two prefixes of a problem differ enough to be a pair ({dict(counts)}): lower the "
            "margin (margin_share where problems have few tests), or draw more completions"
        )
    reads = [config.problems, config.prefixes, config.completions, config.passes]
    with writing_stage(config, output, reads=[inputs / name for name in reads]) as draft:
        write_shards(draft.path, STEM, rows, config.rows_per_shard)
        draft.facts["counts"] = dict(sorted(counts.items()))
        # Longer prefixes are nearer to the end and tend to have values nearer to 0 or 1, so that
        # length could be what is learnt.
        draft.facts["median_length_ratio"] = median(
            len(row.chosen.text) / len(rival.text) for row in rows for rival in row.rejected
        )
        draft.facts["values"] = value_table(values)


def rows_of(
    problem: Problem,
    valued: list[Valued],
    config: ProcessPairsConfig,
    counts: Counter[str],
) -> list[PolicyRow]:
    """The rows of one problem, within its limits; which pairs they have depends on the seed."""
    is_math = problem.kind == "math"
    worse_than: dict[str, list[Valued]] = {}
    chosen: list[Valued] = []
    for one in valued:
        # Samples of several rounds may answer prompts in different words.
        rivals = [other for other in valued if asked(other[0]) == asked(one[0])]
        worse = [other for other in rivals if is_better(one[1], other[1], is_math, config)]
        if not config.nested:
            related = [other for other in worse if is_nested(one[0].text, other[0].text)]
            counts["pair: nested"] += len(related)
            worse = [other for other in worse if other not in related]
        if worse:
            chosen.append(one)
            worse_than[one[0].id] = worse
    counts["problem: with pairs" if chosen else "problem: without pairs"] += 1
    rng = random.Random(f"{config.seed} {problem.id}")  # so that other problems change nothing
    rng.shuffle(chosen)
    rows: list[PolicyRow] = []
    left = config.max_pairs
    for best in chosen:
        worse = worse_than[best[0].id]
        taken = rng.sample(worse, min(len(worse), config.max_rejected, left))
        left -= len(taken)
        counts["pair: over the limits"] += len(worse) - len(taken)
        if not taken:
            continue
        counts["pair: kept, nested"] += sum(
            is_nested(best[0].text, rival[0].text) for rival in taken
        )
        prefix = best[0]
        identity = json.dumps([prefix.id, *(rival[0].id for rival in taken)])
        rows.append(
            PolicyRow(
                id=hashlib.sha256(identity.encode()).hexdigest()[:16],
                group=problem.group,
                prompt=prefix.prompt,
                chosen=answer_of(best),
                rejected=tuple(answer_of(rival) for rival in taken),
                prompt_ids=prefix.prompt_ids,
                ends=False,
                source=config.source,
                sampler=prefix.sampler.weights,
                template=prefix.sampler.template,
            )
        )
    return rows


def is_better(
    one: PrefixValue, other: PrefixValue, is_math: bool, config: ProcessPairsConfig
) -> bool:
    """Whether the first prefix is chosen over the second."""
    # Values are means of fractions, so what should be equal may differ in the last bit.
    tiny = 1e-9
    if is_math:
        right = one.value >= config.math_min_value - tiny
        return right and other.value <= config.math_max_value + tiny
    if one.value < config.min_value - tiny:
        return False
    difference = one.value - other.value
    if config.margin_share is not None:
        return difference > config.margin_share + tiny
    return difference * one.tests > config.margin_tests + tiny


def asked(prefix: Prefix) -> tuple[str, tuple[int, ...]]:
    """The prompt by which prefixes are grouped: only those after the same one are compared."""
    return prefix.prompt, prefix.prompt_ids


def is_nested(one: str, other: str) -> bool:
    """Whether one of two texts begins with the other."""
    return one.startswith(other) or other.startswith(one)


def answer_of(valued: Valued) -> PolicyAnswer:
    prefix, value = valued
    return PolicyAnswer(prefix.id, prefix.text, prefix.token_ids, prefix.log_probs, value.value)


def value_table(values: dict[str, PrefixValue]) -> dict[str, object]:
    """How values are spread over tenths, and how wide their intervals are, for the manifest."""
    found = list(values.values())
    tenths = Counter(min(int(each.value * 10), 9) for each in found)
    return {
        "mean": sum(each.value for each in found) / len(found),
        "mean_interval_width": sum(each.high - each.low for each in found) / len(found),
        "completions": sum(each.completions for each in found),
        "tenths": [tenths[index] for index in range(10)],
    }
