"""Problems -> test inputs without outputs: asked of a language model, or of the given tests."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from trainer.feedback.input_texts import FoundInputs, add_given, add_written, call_text
from trainer.feedback.problem import Problem, read_problems
from trainer.feedback.programs import job_of
from trainer.feedback.run_ledger import RunLedger, ledger_path
from trainer.feedback.runner import ProgramRunner, RunSettings
from trainer.feedback.sandbox.open import SandboxConfig, open_sandbox
from trainer.feedback.sandbox.types import Input, Sandbox
from trainer.feedback.serving import ServerConfig, complete_by, find_policy, identify
from trainer.feedback.signature import signature_of
from trainer.pipeline.lineage import is_stage
from trainer.pipeline.shards import read_shards, write_shards
from trainer.pipeline.stage import StageError, writing_stage
from trainer.synthesis.completions import Completions, LlmConfig
from trainer.synthesis.templates import render, require_placeholder

STEM = "inputs"

FUNCTION_INPUTS = """\
There is a Python function `{entry_point}` that does the following.

{statement}

You do not write this function, you only test it. Write {count} different calls of it: a few usual \
ones, and then those on which a careless solution would fail, such as empty, single, equal, \
negative and large values, as far as the function accepts them. Write one call a line, with \
literal values as arguments and without variables. Do not write what the calls return.

Answer with {count} lines in this form, in one fenced block:

```
{calls}
```"""

SCRIPT_INPUTS = """\
A program is to be tested that reads from standard input and does the following.

{statement}

Write {count} different inputs that test it well: a few usual ones, and then those on which a \
careless solution would fail, such as the smallest, the largest and equal values. Follow the \
format that is described, to the line. Do not write what the program prints, and do not write the \
program.

Answer with {count} fenced blocks, each of which holds exactly one input."""


@dataclass(frozen=True)
class InputTemplates:
    """How a model is asked for inputs of each kind of problem.

    Each may contain `{statement}`, `{signature}`, `{entry_point}`, `{count}` and `{calls}`, which
    are calls as they should be written: of given inputs, or with the names of the arguments.
    """

    function: str = FUNCTION_INPUTS
    script: str = SCRIPT_INPUTS


@dataclass(frozen=True)
class TestInputsConfig:
    """Where test inputs come from, and which are kept.

    Attributes:
        source: `asked` of a language model, `given` by the problems' own tests, or `both`, the
            given ones first. What the tests expect is never read.
        llm: the model that is asked. Without a URL the stage serves `policy` itself.
        policy: the weights behind the endpoint: a stage's, those that a gate accepted, a directory
            or a hub id. Empty if they are not known.
        examples: how many of the given tests' inputs the prompt shows. They say what the text often
            leaves open, such as the types of arguments.
        max_inputs: inputs of a problem; as many are asked for.
        max_characters: of one input.
        use_gold: run reference programs, and drop inputs on which they do not end well and alike.
            False where reference programs must not be looked at, as in an experiment without
            labels.
        sandbox, execution: how reference programs are run.
    """

    __test__: ClassVar[bool] = False  # pytest would take the name for a class of tests

    source: Literal["asked", "given", "both"] = "asked"
    llm: LlmConfig | None = None
    policy: str = ""
    server: ServerConfig = field(default_factory=ServerConfig)
    problems: str = "problems"
    templates: InputTemplates = field(default_factory=InputTemplates)
    examples: int = 0
    max_inputs: int = 10
    max_characters: int = 2000
    use_gold: bool = True
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    execution: RunSettings = field(default_factory=RunSettings)
    rows_per_shard: int = 10_000


@dataclass(frozen=True)
class TestInputs:
    """The test inputs of a problem, all different."""

    __test__: ClassVar[bool] = False

    problem: str
    inputs: tuple[Input, ...]


def run(config: TestInputsConfig, inputs: Path, output: Path) -> None:
    """Read problems; write inputs. Completions are kept in `<output>-answers` too, runs of
    reference programs in `<output>-ledger`."""
    check(config, inputs)
    problems = [each for each in read_problems(inputs / config.problems) if each.kind != "math"]
    counts = Counter(problems=len(problems))
    facts: dict[str, object] = {}
    completions = None
    if config.source != "given":
        completions = ask(config, problems, inputs, output)
        facts.update(completions.facts)
    found = [(problem, found_inputs(problem, config, completions, counts)) for problem in problems]
    if config.use_gold and any(problem.gold for problem in problems):
        with open_sandbox(config.sandbox) as sandbox:
            found = useful_on_gold(found, config, sandbox, output, counts)
            facts["isolation"] = sandbox.isolation
    rows = []
    for problem, candidates in found:
        kept = candidates[: config.max_inputs]
        counts["input: over max_inputs"] += len(candidates) - len(kept)
        counts["input: kept"] += len(kept)
        counts["problem: with inputs" if kept else "problem: no inputs"] += 1
        if kept:
            rows.append(TestInputs(problem.id, tuple(kept)))
    reads = [inputs / config.problems]
    if config.policy and is_stage(inputs, config.policy):
        reads.append(inputs / config.policy)
    with writing_stage(config, output, reads=reads) as draft:
        write_shards(draft.path, STEM, rows, config.rows_per_shard)
        draft.facts["counts"] = dict(sorted(counts.items()))
        draft.facts.update(facts)


def ask(
    config: TestInputsConfig, problems: list[Problem], inputs: Path, output: Path
) -> Completions:
    """All completions of the problems' prompts, as far as the endpoint answers."""
    assert config.llm
    weights = identify(find_policy(config.policy, inputs)) if config.policy else None
    prompts = [prompt_of(problem, config) for problem in problems]
    return complete_by(prompts, config.llm, weights, config.server, output)


def prompt_of(problem: Problem, config: TestInputsConfig) -> str:
    """The user's message that asks for a problem's inputs."""
    name = problem.entry_point.rpartition(".")[2]
    given = FoundInputs()
    if config.examples:
        add_given(problem, given, config.max_characters)
    shown = [call_text(name, each) for each in given.inputs[: config.examples]]
    named = f"{name}({', '.join(signature_of(problem).parameters)})"
    script = problem.kind == "script"
    return render(
        config.templates.script if script else config.templates.function,
        statement=problem.statement,
        signature=problem.signature or f"def {name}",
        entry_point=name,
        count=str(config.max_inputs),
        calls="\n".join(shown or [named]),
    )


def found_inputs(
    problem: Problem,
    config: TestInputsConfig,
    completions: Completions | None,
    counts: Counter[str],
) -> list[Input]:
    """All inputs of a problem that its tests and the model's answers hold, the given ones first."""
    found = FoundInputs()
    if config.source != "asked":
        add_given(problem, found, config.max_characters)
    for completion in completions.of(prompt_of(problem, config)) if completions else []:
        if completion is None:
            counts["answer: not answered yet"] += 1
            continue
        before = found.reasons["taken"]
        add_written(completion.text, problem, found, config.max_characters)
        useful = found.reasons["taken"] > before
        counts["answer: with new inputs" if useful else "answer: without new inputs"] += 1
    counts.update({f"input: {reason}": number for reason, number in found.reasons.items()})
    return found.inputs


def useful_on_gold(
    found: list[tuple[Problem, list[Input]]],
    config: TestInputsConfig,
    sandbox: Sandbox,
    output: Path,
    counts: Counter[str],
) -> list[tuple[Problem, list[Input]]]:
    """The inputs on which the reference program ends well, twice with the same output.

    An input that the sandbox failed to run is dropped, and taken up by the next run of the stage.
    """
    jobs = {
        problem.id: job_of(problem, problem.gold, tuple(candidates))
        for problem, candidates in found
        if problem.gold and candidates
    }
    kept = []
    with RunLedger(ledger_path(output)) as ledger:
        runner = ProgramRunner(config.execution, sandbox, ledger)
        runner.run_missing(list(jobs.values()))
        for problem, candidates in found:
            if problem.id not in jobs:
                kept.append((problem, candidates))
                continue
            useful = []
            outcomes = runner.outcomes(jobs[problem.id])
            for candidate, outcome in zip(candidates, outcomes, strict=True):
                if outcome.output is not None:
                    useful.append(candidate)
                    reason = "ok"
                elif not outcome.is_complete:
                    reason = "not run yet"
                elif outcome.agrees:
                    reason = outcome.statuses[0]
                else:
                    reason = "repeats disagree"
                counts[f"input on the reference: {reason}"] += 1
            kept.append((problem, useful))
    return kept


def check(config: TestInputsConfig, inputs: Path) -> None:
    """Raise StageError where the stage could only fail, before the first stage of a run."""
    require_placeholder(config.templates.function, "statement")
    require_placeholder(config.templates.script, "statement")
    prompt_of(Problem("", "", "function", ""), config)  # names only what there is
    prompt_of(Problem("", "", "script", ""), config)
    if config.source != "given":
        if config.llm is None:
            raise StageError("inputs: set llm to the model that is asked, or source to given")
        if not config.llm.endpoint.url and not config.policy:
            raise StageError(
                "inputs: neither llm.endpoint.url nor policy is set: name the address of the model "
                "that is asked, or the checkpoint that is to be served"
            )
    if config.policy and Path(config.policy).is_dir():
        identify(find_policy(config.policy, inputs))
    if config.use_gold:
        open_sandbox(config.sandbox).close()


def read_test_inputs(folder: Path) -> list[TestInputs]:
    """All test inputs of a finished stage; a problem without any has no row."""
    return read_shards(folder, STEM, TestInputs)
