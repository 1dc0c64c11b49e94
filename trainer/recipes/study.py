"""The settings in which recipes of pseudo feedback differ, and the stages that rounds share."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from trainer.feedback import (
    execution,
    samples,
    test_inputs,
    votes,
)
from trainer.feedback.execution import ExecutionConfig
from trainer.feedback.problems import ProblemsConfig
from trainer.feedback.runner import RunSettings
from trainer.feedback.samples import SamplesConfig
from trainer.feedback.serving import ServerConfig
from trainer.feedback.test_inputs import TestInputsConfig
from trainer.feedback.votes import VotesConfig
from trainer.pipeline.recipe import Stage
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
        examples: given tests that a prompt shows.
        temperature, top_p, max_tokens: how answers are sampled.
        max_length: tokens of a prompt with an answer that is trained on.
        min_majority: share of a problem's final answers that the winner must have more of.
        learning_rates, betas, sft_weights: of each round; the last one holds for later rounds.
        server: how the stages that sample serve the policy.
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
    gradient_accumulation_steps: int = 1
    max_pairs_per_problem: int | None = 10
    min_majority: float = 0.5
    lora: LoraAdapters | None = None
    server: ServerConfig = field(default_factory=ServerConfig)


def labelled(
    setup: Study, number: int, expected: Literal["majority", "given", "frontier"]
) -> Stage[Any]:
    """A stage that labels a round's samples."""
    config = VotesConfig(
        expected=expected,
        samples=f"samples_{number}",
        runs=f"runs_{number}",
        min_majority=setup.min_majority,
    )
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
    llm = LlmConfig(policy_endpoint(setup), sampling)
    return Stage(
        samples.run,
        SamplesConfig(
            llm, policy, server=setup.server, problems=problems_of, examples=setup.examples
        ),
    )


def test_inputs_of(setup: Study) -> Stage[Any]:
    """A stage that asks the first policy for test inputs, without a look at reference programs."""
    llm = LlmConfig(policy_endpoint(setup), Sampling(0.8, 0.95, 1024, 1, 2))
    config = TestInputsConfig(
        llm=llm, policy="start", server=setup.server, examples=setup.examples, use_gold=False
    )
    return Stage(test_inputs.run, config, test_inputs.check)


def policy_endpoint(setup: Study) -> EndpointConfig:
    """The policy's endpoint. It has no URL, so each stage serves the policy itself."""
    # On a CPU an answer may take many minutes, and asking again would throw all of them away.
    return EndpointConfig(
        "",
        "policy",
        concurrency=setup.server.max_num_seqs,
        attempt_seconds=3600.0,
        deadline_seconds=7200.0,
    )
