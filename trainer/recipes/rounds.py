"""The stages of a round of pseudo feedback, and of the measures around the rounds.

This is no recipe by itself; `pfpo` and the others call it with their sizes.
"""

from dataclasses import replace
from typing import Any

from trainer.feedback import (
    execution,
    pairs,
    prefix_completions,
    prefixes,
    problems,
    process_pairs,
    test_inputs,
    votes,
)
from trainer.feedback.code_votes import DEFAULT_MIN_VALID
from trainer.feedback.execution import ExecutionConfig
from trainer.feedback.pair_rules import AllOverAny, PassMargin, Random, Rule
from trainer.feedback.pairs import PolicyPairsConfig, Replay
from trainer.feedback.prefix_completions import PrefixCompletionsConfig
from trainer.feedback.prefixes import PrefixesConfig
from trainer.feedback.process_pairs import ProcessPairsConfig
from trainer.feedback.runner import RunSettings
from trainer.feedback.test_inputs import TestInputsConfig
from trainer.feedback.votes import VotesConfig
from trainer.pipeline.recipe import Recipe, Stage
from trainer.policy import dpo, gate, report, start_policy
from trainer.policy.arms import Arm
from trainer.policy.config import DpoConfig
from trainer.policy.gate import GateConfig
from trainer.policy.report import PolicyReportConfig
from trainer.policy.start_policy import StartPolicyConfig
from trainer.recipes.study import (
    Expected,
    Stages,
    Study,
    graded,
    labelled,
    policy_endpoint,
    sampled,
    test_inputs_of,
)
from trainer.synthesis.completions import LlmConfig
from trainer.synthesis.requests import Sampling


def study(
    name: str,
    setup: Study,
    *,
    rounds: int,
    expected: Expected = "majority",
    controls: tuple[Expected, ...] = (),
    process: tuple[int, ...] = (),
) -> Recipe:
    """The recipe: rounds of pseudo feedback, each gated, and a report beside the start.

    Args:
        expected: what labels the samples of the rounds.
        controls: further arms of one round from the first round's samples, labelled otherwise.
        process: rounds that train on process pairs too, and so on pairs of earlier rounds as well.
    """
    stages: Stages = {
        "start": Stage(start_policy.run, StartPolicyConfig(setup.policy), start_policy.check),
        "problems_test": Stage(problems.run, setup.test),
        "problems_probe": Stage(problems.run, replace(setup.probe, without=("problems_test",))),
        "problems": Stage(
            problems.run, replace(setup.train, without=("problems_test", "problems_probe"))
        ),
    }
    # Programs that are labelled by given tests need no other inputs.
    votes_on_outputs = setup.programs and expected != "given"
    if votes_on_outputs:
        stages["inputs"] = test_inputs_of(setup)
    if setup.programs:
        # On the inputs of the given tests, programs show how they vote among themselves.
        asked = TestInputsConfig(source="given", problems="problems_test", use_gold=False)
        stages["inputs_test"] = Stage(test_inputs.run, asked)
    stages |= graded(setup, "probe", "0", "start") | graded(setup, "test", "0", "start")
    policy = "start"
    # Given tests tell how many pairs of the votes they confirm; nothing is trained on that.
    truth = "votes_given" if "given" in controls else ""
    for number in range(1, rounds + 1):
        stages |= round_of(
            setup, number, policy, expected, process, truth=truth if number == 1 else ""
        )
        policy = f"gate_{number}"
    # Every round's policy is reported, also one that its gate refused.
    arms = {
        f"{expected}_{number}" if rounds > 1 else expected: f"dpo_{number}"
        for number in range(1, rounds + 1)
    }
    for control in controls:
        stages |= labelled_and_trained(setup, control, control, 1, "start")
        arms[control] = f"dpo_{control}"
    for arm, trained in arms.items():
        stages |= graded(setup, "test", arm, trained)
    stages["policy_report"] = reported(setup, {"start": "0"} | {arm: arm for arm in arms})
    return Recipe(name, stages)


def reported(setup: Study, arms: dict[str, str]) -> Stage[Any]:
    """The report on arms; each has a name, and the suffix of its stages on test problems."""
    compared = tuple(
        Arm(
            name,
            f"samples_test_{suffix}",
            f"votes_test_{suffix}",
            f"runs_test_{suffix}" if setup.programs else "",
        )
        for name, suffix in arms.items()
    )
    return Stage(report.run, PolicyReportConfig(arms=compared, problems="problems_test"))


def round_of(
    setup: Study,
    number: int,
    policy: str,
    expected: Expected,
    process: tuple[int, ...] = (),
    *,
    truth: str = "",
) -> Stages:
    """A round: sample, execute, vote, pair, train, and ask the probe whether that was better."""
    arm = str(number)
    stages: Stages = {
        f"samples_{arm}": sampled(
            setup, policy, "problems", setup.samples, seed=1 + 1000 * (number - 1)
        )
    }
    if setup.programs and expected != "given":
        # An endless loop takes the whole limit on each input, twice; three of them say enough.
        executed = ExecutionConfig(samples=f"samples_{arm}", execution=RunSettings(max_timeouts=3))
        stages[f"runs_{arm}"] = Stage(execution.run, executed, execution.check)
    if number in process:
        stages |= process_level(setup, number, policy, expected)
    if truth:
        stages[truth] = labelled(setup, number, "given")
    stages |= labelled_and_trained(setup, arm, expected, number, policy, process, truth=truth)
    stages |= graded(setup, "probe", arm, f"dpo_{arm}")
    stages[f"gate_{arm}"] = Stage(
        gate.run,
        GateConfig(
            policy=f"dpo_{arm}",
            samples=f"samples_probe_{arm}",
            passes=f"votes_probe_{arm}",
            previous=policy,
            previous_samples="samples_probe_0" if policy == "start" else "",
            previous_passes="votes_probe_0" if policy == "start" else "",
            problems="problems_probe",
            votes=f"votes_{arm}",
        ),
    )
    return stages


def process_level(setup: Study, number: int, policy: str, expected: Expected) -> Stages:
    """Prefixes of a round's samples, completed by the same policy, and pairs of them."""
    sampling = Sampling(setup.temperature, setup.top_p, setup.max_tokens, 1, setup.completions)
    llm = LlmConfig(replace(policy_endpoint(setup), route=setup.completion_route), sampling)
    cut = PrefixesConfig(samples=f"samples_{number}", tokenizer=policy)
    completed = PrefixCompletionsConfig(
        llm, policy, server=setup.server, prefixes=f"prefixes_{number}"
    )
    stages: Stages = {
        f"prefixes_{number}": Stage(prefixes.run, cut),
        f"completions_{number}": Stage(prefix_completions.run, completed),
    }
    if setup.programs and expected != "given":
        executed = ExecutionConfig(
            samples=f"completions_{number}", execution=RunSettings(max_timeouts=3)
        )
        stages[f"runs_completions_{number}"] = Stage(execution.run, executed, execution.check)
    # Completions are judged by the votes of the round's samples, and have none themselves.
    judged = VotesConfig(
        expected="given" if expected == "given" else "frontier",
        samples=f"completions_{number}",
        runs=f"runs_completions_{number}",
        frontier_samples=f"samples_{number}",
        frontier_runs=f"runs_{number}",
        min_valid=float(DEFAULT_MIN_VALID),
    )
    stages[f"votes_completions_{number}"] = Stage(votes.run, judged)
    paired = ProcessPairsConfig(
        prefixes=f"prefixes_{number}",
        completions=f"completions_{number}",
        passes=f"votes_completions_{number}",
        # PFPO's 4 of 10 tests; some problems have fewer, or lose some to votes that disagree.
        margin_share=0.4,
        max_pairs=setup.max_pairs_per_problem or 1000,
        source=f"round {number}, process",
        policy_rows="all",
    )
    stages[f"process_pairs_{number}"] = Stage(process_pairs.run, paired)
    return stages


def labelled_and_trained(
    setup: Study,
    arm: str,
    expected: Expected,
    number: int,
    policy: str,
    process: tuple[int, ...] = (),
    *,
    truth: str = "",
) -> Stages:
    """Votes, pairs and DPO on a round's samples; the stages are named after the arm."""
    # Random pairs are as many as the votes would make: only the labels differ from those.
    labels = "majority" if expected == "random" else expected
    by_tests = AllOverAny() if expected == "given" or not setup.programs else PassMargin(0.5, 0.6)
    rule: Rule = Random(like=by_tests) if expected == "random" else by_tests
    earlier = [Replay(f"policy_pairs_{each}") for each in range(1, number)]
    if number in process:
        earlier.append(Replay(f"process_pairs_{number}"))
    at = number - 1

    def of_round(values: tuple[float, ...]) -> float:
        return values[min(at, len(values) - 1)]

    sft = of_round(setup.sft_weights)
    return {
        f"votes_{arm}": labelled(setup, number, labels),
        f"policy_pairs_{arm}": Stage(
            pairs.run,
            PolicyPairsConfig(
                rule=rule,
                samples=f"samples_{number}",
                votes=f"votes_{arm}",
                truth=truth,
                max_pairs_per_problem=setup.max_pairs_per_problem,
                source=f"round {number}, {expected}",
                policy_rows="all",
                replay=tuple(earlier),
            ),
        ),
        f"dpo_{arm}": Stage(
            dpo.run,
            DpoConfig(
                start=policy,
                pairs=f"policy_pairs_{arm}",
                prompts_per_step=setup.prompts_per_step,
                gradient_accumulation_steps=setup.gradient_accumulation_steps,
                num_train_epochs=setup.num_train_epochs,
                learning_rate=of_round(setup.learning_rates),
                beta=of_round(setup.betas),
                loss_type=("sigmoid", "sft") if sft else ("sigmoid",),
                loss_weights=(1.0, sft) if sft else None,
                max_length=setup.max_length,
                lora=setup.lora,
                evaluation_share=0.0,
                eval_steps=0,
            ),
        ),
    }
