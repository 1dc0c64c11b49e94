"""What recipes of pseudo feedback are put together from: one round, and the measures around it.

This is no recipe by itself; `pfpo` and the others call it with their sizes.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from trainer.feedback import (
    execution,
    pairs,
    prefix_completions,
    prefixes,
    problems,
    process_pairs,
    samples,
    test_inputs,
    votes,
)
from trainer.feedback.code_votes import DEFAULT_MIN_VALID
from trainer.feedback.execution import ExecutionConfig
from trainer.feedback.pair_rules import AllOverAny, PassMargin, Random, Rule
from trainer.feedback.pairs import PolicyPairsConfig, Replay
from trainer.feedback.prefix_completions import PrefixCompletionsConfig
from trainer.feedback.prefixes import PrefixesConfig
from trainer.feedback.problems import ProblemsConfig
from trainer.feedback.process_pairs import ProcessPairsConfig
from trainer.feedback.runner import RunSettings
from trainer.feedback.samples import SamplesConfig
from trainer.feedback.serving import ServerConfig
from trainer.feedback.test_inputs import TestInputsConfig
from trainer.feedback.votes import VotesConfig
from trainer.pipeline.recipe import Recipe, Stage
from trainer.policy import dpo, gate, report, start_policy
from trainer.policy.arms import Arm
from trainer.policy.config import DpoConfig
from trainer.policy.gate import GateConfig
from trainer.policy.report import PolicyReportConfig
from trainer.policy.start_policy import StartPolicyConfig
from trainer.synthesis.completions import LlmConfig
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.requests import Route, Sampling
from trainer.training.config import LoraAdapters

Stages = dict[str, Stage[Any]]
Expected = Literal["majority", "given", "frontier", "random"]


@dataclass(frozen=True)
class Study:
    """The sizes and settings in which recipes of rounds differ.

    Attributes:
        policy: directory or hub id that the first round starts from; `--set start.policy=` names
            another.
        train, probe, test: problems to learn from, to gate rounds with, and to report on. No two
            of them share a problem.
        programs: whether solutions are programs, which need test inputs; else final answers.
        samples: answers to each problem that are labelled.
        graded_samples: answers to each problem of the probe and the test.
        completions: of each prefix, in rounds with process pairs.
        completion_route: how prefixes are sent: by exact ids (`completions`), or as a message that
            the server continues (`chat`).
        learning_rates, betas, sft_weights: of each round; the last one holds for later rounds.
    """

    policy: str
    train: ProblemsConfig
    probe: ProblemsConfig
    test: ProblemsConfig
    programs: bool = True
    samples: int = 10
    graded_samples: int = 4
    completions: int = 5
    completion_route: Route = "completions"
    examples: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    max_length: int = 3072
    learning_rates: tuple[float, ...] = (5e-6, 1e-6)
    betas: tuple[float, ...] = (0.1, 0.5)
    sft_weights: tuple[float, ...] = (0.0, 0.2)
    num_train_epochs: float = 2.0
    prompts_per_step: int = 64
    max_pairs_per_problem: int | None = 10
    lora: LoraAdapters | None = None
    server: ServerConfig = field(default_factory=ServerConfig)


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
    told = [
        Arm(
            name,
            f"samples_test_{arm}",
            f"votes_test_{arm}",
            f"runs_test_{arm}" if setup.programs else "",
        )
        for name, arm in [("start", "0"), *((arm, arm) for arm in arms)]
    ]
    reported = PolicyReportConfig(arms=tuple(told), problems="problems_test")
    stages["policy_report"] = Stage(report.run, reported)
    return Recipe(name, stages)


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
        stages[truth] = labelled(number, "given")
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
    llm = LlmConfig(replace(_endpoint(setup), route=setup.completion_route), sampling)
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
        f"votes_{arm}": labelled(number, labels),
        f"policy_pairs_{arm}": Stage(
            pairs.run,
            PolicyPairsConfig(
                rule=rule,
                samples=f"samples_{number}",
                votes=f"votes_{arm}",
                truth=truth,
                max_pairs_per_problem=setup.max_pairs_per_problem if setup.programs else 1,
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


def labelled(number: int, expected: Literal["majority", "given", "frontier"]) -> Stage[Any]:
    """A stage that labels a round's samples."""
    config = VotesConfig(expected=expected, samples=f"samples_{number}", runs=f"runs_{number}")
    # An endless loop costs the whole limit on every given test, and one of them is enough.
    return Stage(votes.run, replace(config, max_timeouts=1) if expected == "given" else config)


def graded(setup: Study, problems_of: str, arm: str, policy: str) -> Stages:
    """Samples of a policy on the probe or the test, and how many given tests each passes."""
    name = f"{problems_of}_{arm}"
    asked = sampled(setup, policy, f"problems_{problems_of}", setup.graded_samples, seed=1)
    counted = VotesConfig(
        expected="given",
        problems=f"problems_{problems_of}",
        samples=f"samples_{name}",
        max_timeouts=1,
    )
    stages: Stages = {f"samples_{name}": asked, f"votes_{name}": Stage(votes.run, counted)}
    if setup.programs and problems_of == "test":
        executed = ExecutionConfig(
            problems=f"problems_{problems_of}",
            inputs=f"inputs_{problems_of}",
            samples=f"samples_{name}",
            execution=RunSettings(max_timeouts=3),
        )
        stages[f"runs_{name}"] = Stage(execution.run, executed, execution.check)
    return stages


def sampled(setup: Study, policy: str, problems_of: str, number: int, *, seed: int) -> Stage[Any]:
    """A stage that samples a policy, which it serves itself."""
    sampling = Sampling(setup.temperature, setup.top_p, setup.max_tokens, seed, number)
    llm = LlmConfig(_endpoint(setup), sampling)
    return Stage(
        samples.run,
        SamplesConfig(
            llm, policy, server=setup.server, problems=problems_of, examples=setup.examples
        ),
    )


def test_inputs_of(setup: Study) -> Stage[Any]:
    """A stage that asks the first policy for test inputs, without a look at reference programs."""
    llm = LlmConfig(_endpoint(setup), Sampling(0.8, 0.95, 1024, 1, 2))
    config = TestInputsConfig(
        llm=llm, policy="start", server=setup.server, examples=setup.examples, use_gold=False
    )
    return Stage(test_inputs.run, config, test_inputs.check)


def _endpoint(setup: Study) -> EndpointConfig:
    """The policy's endpoint. It has no URL, so each stage serves the policy itself."""
    # On a CPU an answer may take many minutes, and asking again would throw all of them away.
    return EndpointConfig(
        "",
        "policy",
        concurrency=setup.server.max_num_seqs,
        attempt_seconds=3600.0,
        deadline_seconds=7200.0,
    )
