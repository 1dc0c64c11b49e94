"""Problems -> samples: a policy answers every problem several times."""

import ast
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainer.feedback.problem import AssertTest, CallTest, Problem, StdioTest, Test, read_problems
from trainer.feedback.sample import STEM, Sample, Sampler
from trainer.feedback.serving import ServerConfig, complete_by, find_policy, identify
from trainer.pipeline.lineage import is_stage
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import StageError, writing_stage
from trainer.synthesis.completions import Completions, LlmConfig
from trainer.synthesis.requests import Prompt
from trainer.synthesis.templates import render, require_placeholder

FUNCTION = """\
{statement}

Write it as a Python function that begins with this line:

```python
{signature}
```

Answer with the complete function in one fenced block, with the imports that it needs and without \
examples of its use."""

SCRIPT = """\
{statement}

Write a Python program that reads from standard input and prints to standard output. Answer with \
the complete program in one fenced block."""

MATH = """\
{statement}

Think step by step, one step a line. Write the final answer at the end as \\boxed{{answer}}."""


@dataclass(frozen=True)
class PromptTemplates:
    """How a policy is asked to solve each kind of problem.

    Each may contain `{statement}` and `{signature}`.
    """

    function: str = FUNCTION
    script: str = SCRIPT
    math: str = MATH


@dataclass(frozen=True)
class PolicyConfig:
    """A policy, and how it is sampled: `llm.sampling.samples` answers to each prompt.

    Attributes:
        llm: the endpoint that serves the policy. Without a URL the stage serves it itself.
        policy: the weights that the endpoint serves: a stage's, those that a gate accepted, a
            directory or a hub id. Empty if they are not known, as behind a vendor's API.
        token_ids: ask for exact token ids and log-probabilities, as vLLM gives them. Endpoints
            that refuse unknown fields need it false.
    """

    llm: LlmConfig
    policy: str = ""
    server: ServerConfig = field(default_factory=ServerConfig)
    token_ids: bool = True


@dataclass(frozen=True)
class SamplesConfig(PolicyConfig):
    """The policy, the problems that it is asked to solve, and the words.

    Attributes:
        examples: how many of the given tests a problem's text shows at its end, as examples. They
            say what the text often leaves open; a label that counts them is easier to earn.
    """

    problems: str = "problems"
    templates: PromptTemplates = field(default_factory=PromptTemplates)
    examples: int = 0


def prompt_of(problem: Problem, templates: PromptTemplates, examples: int = 0) -> str:
    """The user's message that asks for a problem's solution."""
    template: str = getattr(templates, problem.kind)
    shown = [f"```\n{text_of(problem, test)}\n```" for test in problem.tests[:examples]]
    statement = "\n\n".join([problem.statement, *(["For example:"] if shown else []), *shown])
    signature = problem.signature or f"def {problem.entry_point}"
    return render(template, statement=statement, signature=signature)


def text_of(problem: Problem, test: Test) -> str:
    """A given test as a problem's text shows it."""
    match test:
        case AssertTest():
            return test.code
        case CallTest():
            call = f"{problem.entry_point}(*{test.arguments}, **{test.keywords})"
            with suppress(SyntaxError):
                positional = ast.parse(test.arguments, mode="eval").body
                named = ast.parse(test.keywords, mode="eval").body
                if isinstance(positional, ast.Tuple) and isinstance(named, ast.Dict):
                    names = [ast.literal_eval(key) for key in named.keys if key]
                    given = [ast.unparse(each) for each in positional.elts]
                    given += [
                        f"{name}={ast.unparse(value)}"
                        for name, value in zip(names, named.values, strict=True)
                    ]
                    call = f"{problem.entry_point}({', '.join(given)})"
            return f"assert {call} == {test.expected}"
        case StdioTest():
            return f"Input:\n{test.stdin.rstrip()}\n\nOutput:\n{test.stdout.rstrip()}"


def ask_policy(
    prompts: Iterable[Prompt], config: PolicyConfig, inputs: Path, output: Path
) -> tuple[Completions, Sampler]:
    """All answers of the policy that `config` names, and what it is.

    Completions are kept in `<output>-answers`, so that a later run asks only for what is missing.
    """
    weights = identify(find_policy(config.policy, inputs)) if config.policy else None
    sampling = config.llm.sampling
    if config.token_ids:
        chat = config.llm.endpoint.route == "chat"
        asked: dict[str, object] = {"return_token_ids": True, "logprobs": True if chat else 1}
        sampling = replace(sampling, extra=asked | sampling.extra)
    llm = replace(config.llm, sampling=sampling)
    completions = complete_by(tuple(prompts), llm, weights, config.server, output)
    endpoint = completions.config.endpoint
    sampler = Sampler(
        model=endpoint.model,
        weights=weights.digest if weights else endpoint.revision,
        template=weights.template if weights else "",
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
    )
    return completions, sampler


def run(config: SamplesConfig, inputs: Path, output: Path) -> None:
    """Read problems; write samples by problem. Completions are kept in `<output>-answers` too."""
    for kind in ("function", "script", "math"):
        require_placeholder(getattr(config.templates, kind), "statement")
    problems = read_problems(inputs / config.problems)
    prompts = {
        problem.id: prompt_of(problem, config.templates, config.examples) for problem in problems
    }
    completions, sampler = ask_policy(prompts.values(), config, inputs, output)
    seed = config.llm.sampling.seed
    counts: Counter[str] = Counter(problems=len(problems))
    samples: list[Sample] = []
    for problem in problems:
        prompt = prompts[problem.id]
        for number, found in enumerate(completions.of(prompt)):
            if found is None:
                counts["sample: not answered yet"] += 1
                continue
            counts["sample: kept"] += 1
            counts["sample: cut at max_tokens"] += found.finish_reason == "length"
            counts["sample: with token ids"] += bool(found.token_ids)
            samples.append(
                Sample(
                    id=found.id,
                    problem=problem.id,
                    number=number,
                    prompt=prompt,
                    text=found.text,
                    finish_reason=found.finish_reason,
                    sampler=sampler,
                    seed=None if seed is None else seed + number,
                    prompt_ids=found.prompt_ids,
                    token_ids=found.token_ids,
                    log_probs=found.log_probs,
                )
            )
    reads = [inputs / config.problems, *policy_stages(config, inputs)]
    with writing_stage(config, output, reads=reads) as draft:
        write_shards(draft.path, STEM, samples, 1000)
        draft.facts["counts"] = dict(sorted(counts.items()))
        draft.facts["sampler"] = vars(sampler)
        draft.facts.update(completions.facts)


def policy_stages(config: PolicyConfig, inputs: Path) -> list[Path]:
    """The stage whose policy was asked, if it is one of this run's."""
    is_own = config.policy and is_stage(inputs, config.policy)
    return [inputs / config.policy] if is_own else []


def check(config: PolicyConfig, inputs: Path) -> None:
    """Raise StageError where the stage could only fail, before the first stage of a run."""
    if not config.llm.endpoint.url and not config.policy:
        raise StageError(
            "neither llm.endpoint.url nor policy is set: name the address of the policy, "
            "or the checkpoint that is to be served"
        )
    if config.policy and Path(config.policy).is_dir():
        identify(find_policy(config.policy, inputs))
