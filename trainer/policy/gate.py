"""Accept or refuse a round's policy, by pass@1 on a labelled probe that is held out.

Pseudo labels are votes of the policy itself. In later rounds the votes can agree more and be right
less often, which no figure of the votes shows; so a probe with given tests decides. What the votes
tell is written beside the decision.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import log2
from pathlib import Path
from statistics import fmean
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from trainer.evaluation.measures.answers import agreeing
from trainer.evaluation.measures.estimate import Estimate, Resampling
from trainer.evaluation.measures.math_judge import MathJudge
from trainer.feedback.problem import Problem
from trainer.feedback.serving import POINTER
from trainer.pipeline.lineage import is_stage
from trainer.pipeline.stage import StageError, read_manifest, writing_stage
from trainer.policy.arms import Arm, GradedArm, problems_of, read_arm, require_held_out_from
from trainer.policy.comparison import compare


@dataclass(frozen=True)
class GateConfig:
    """The new policy, the one that was accepted last, and what the new one must reach.

    Attributes:
        policy: the new policy's stage or directory.
        samples: the stage of its samples on the probe.
        passes: the stage that counted how many given tests each of them passes.
        previous: the gate of the round before, whose accepted policy is compared with; in the
            first round the policy that rounds begin with: a stage, directory or hub id.
        previous_samples, previous_passes: as for the new policy, if `previous` is not a gate.
        problems: the stage of the probe.
        min_gain: least difference of pass@1 to the previous policy that is accepted. A negative one
            is a tolerance.
        decide_by: `estimate` compares the difference itself with `min_gain`, `interval` the lower
            end of its 95 % interval.
        votes: a stage whose votes made the round's pseudo labels; their figures are written beside
            the decision.
        resamples: bootstrap resamples of problems for the interval.
    """

    policy: str
    samples: str
    passes: str
    previous: str
    previous_samples: str = ""
    previous_passes: str = ""
    problems: str = "probe"
    min_gain: float = -0.01
    decide_by: Literal["estimate", "interval"] = "estimate"
    votes: str = ""
    resamples: int = 2000
    seed: int = 1


@dataclass(frozen=True)
class Decision:
    """The policy that the next round starts from; the content of `policy.json`.

    Attributes:
        policy: the accepted policy's stage, directory or hub id.
        accepted: whether that is the new policy.
        samples, passes: the accepted policy's stages on the probe, which the next gate reads.
        new, previous: pass@1 on the probe, with 95 % intervals.
        gain: their difference, problem by problem.
        problems: number of problems of the probe that both have samples of.
        entropy: of the answers to a problem, in bits, the mean over problems: of the new policy and
            of the previous one. It falls to 0 when a policy always answers alike.
        votes: facts of the stage whose votes made the pseudo labels.
    """

    policy: str
    accepted: bool
    samples: str
    passes: str
    new: Estimate
    previous: Estimate
    gain: Estimate
    problems: int
    entropy: dict[str, float] = field(default_factory=dict)
    votes: dict[str, object] = field(default_factory=dict)


def run(config: GateConfig, inputs: Path, output: Path) -> None:
    """Write `policy.json`, which stages that name this one as their policy follow.

    Raises:
        StageError: a policy was trained on problems of the probe, or no problem has graded samples
            of both.
    """
    problems = problems_of(config.problems, inputs)
    arms = {}
    new = Arm(config.policy, config.samples, config.passes)
    for name, arm in {"previous": previous_of(config, inputs), "new": new}.items():
        require_held_out_from(arm, problems, inputs)
        arms[name] = read_arm(arm, problems, inputs)
    common = [each for each in problems if all(arm.by_problem[each.id] for arm in arms.values())]
    if not common:
        raise StageError(f"{config.problems} has no problem with graded samples of both policies")
    rates = {
        name: [fmean(one.correct for one in arm.by_problem[each.id]) for each in common]
        for name, arm in arms.items()
    }
    groups = [each.group for each in common]
    found = compare(groups, rates, Resampling(config.resamples, config.seed))
    gain = found["new"].gain
    assert gain is not None
    reached = gain.value if config.decide_by == "estimate" else gain.low
    # The share of passing samples is a mean of fractions, so it is compared up to rounding.
    accepted = reached >= config.min_gain - 1e-9
    kept = arms["new" if accepted else "previous"].arm
    decision = Decision(
        policy=kept.name,
        accepted=accepted,
        samples=kept.samples,
        passes=kept.passes,
        new=found["new"].value,
        previous=found["previous"].value,
        gain=gain,
        problems=len(common),
        entropy={name: round(answer_entropy(arm, common), 4) for name, arm in arms.items()},
        votes=vote_facts(config.votes, inputs),
    )
    names = [config.problems, config.previous, config.policy, config.votes]
    names += [name for arm in arms.values() for name in (arm.arm.samples, arm.arm.passes)]
    reads = [inputs / name for name in dict.fromkeys(names) if name and is_stage(inputs, name)]
    print(f"gate: {told(decision, config)}", flush=True)
    with writing_stage(config, output, reads=reads) as draft:
        text = json.dumps(asdict(decision), indent=1, allow_nan=False)
        (draft.path / POINTER).write_text(text + "\n")
        draft.facts["accepted"] = accepted
        draft.facts["decision"] = told(decision, config)
        draft.facts["counts"] = {name: dict(arm.counts) for name, arm in arms.items()}


def read(folder: Path) -> Decision:
    """The decision that `run` wrote.

    Raises:
        StageError: it has another format.
    """
    try:
        return TypeAdapter(Decision).validate_json((folder / POINTER).read_bytes())
    except ValidationError as error:
        raise StageError(
            f"{folder / POINTER} is no decision of a gate: run its stage again"
        ) from error


def previous_of(config: GateConfig, inputs: Path) -> Arm:
    """The policy that was accepted last, with its stages on the probe.

    Raises:
        StageError: it is not a gate's, and its stages on the probe are not named.
    """
    folder = inputs / config.previous
    # The policy that rounds begin with has a pointer too, and no decision was made on it.
    if (folder / POINTER).is_file() and "accepted" in json.loads((folder / POINTER).read_text()):
        last = read(folder)
        return Arm(last.policy, last.samples, last.passes)
    if not config.previous_samples or not config.previous_passes:
        raise StageError(
            f"{config.previous} is no finished gate: set previous_samples and previous_passes to "
            "its stages on the probe, or previous to the gate of the round before"
        )
    return Arm(config.previous, config.previous_samples, config.previous_passes)


def answer_entropy(arm: GradedArm, problems: Sequence[Problem]) -> float:
    """Mean over problems of the entropy of a policy's answers, in bits.

    Answers are equal if their final answers are, and programs if their texts are. Samples without a
    final answer are one class.
    """
    texts = [[one.sample.text.strip() for one in arm.by_problem[each.id]] for each in problems]
    classes: list[Sequence[int | str]] = list(texts)
    answered = [index for index, each in enumerate(problems) if each.kind == "math"]
    if answered:
        with MathJudge() as judge:
            found = agreeing([texts[index] for index in answered], judge)
        for index, each in zip(answered, found, strict=True):
            classes[index] = each
    return fmean(entropy(each) for each in classes)


def entropy(classes: Sequence[int | str]) -> float:
    """The entropy of the shares of classes, in bits."""
    shares = [count / len(classes) for count in Counter(classes).values()]
    return sum(-share * log2(share) for share in shares)


def vote_facts(stage: str, inputs: Path) -> dict[str, object]:
    """What a stage of votes says about them: winners' shares, and how often they are right."""
    if not stage:
        return {}
    facts: dict[str, object] = read_manifest(inputs / stage).get("statistics", {})
    return facts


def told(decision: Decision, config: GateConfig) -> str:
    """The decision in a sentence."""
    gain = decision.gain
    measured = "difference" if config.decide_by == "estimate" else "lower end of the difference"
    return (
        f"{config.policy} is {'accepted' if decision.accepted else 'refused'}: pass@1 on "
        f"{decision.problems} problems of {config.problems} is {decision.new.value:.3f} after "
        f"{decision.previous.value:.3f}, a difference of {gain.value:+.3f} ({gain.low:+.3f} to "
        f"{gain.high:+.3f}); the {measured} must be at least {config.min_gain:+.3f}. The next "
        f"round starts from {decision.policy}"
    )
