import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.feedback.problems import ADD, SUM, write_problems
from tests.trainer.synthesis.corpus import asking
from tests.trainer.synthesis.server import serving
from tests.trainer.synthesis.test_resume import Stopping
from trainer.feedback.problem import AssertTest, CallTest, Problem, StdioTest
from trainer.feedback.sample import read_samples
from trainer.feedback.samples import PromptTemplates, SamplesConfig, check, prompt_of, run
from trainer.feedback.serving import identify
from trainer.pipeline.stage import StageError, read_manifest
from trainer.synthesis.ledger import Ledger

SCRIPT = """
import sys
from pathlib import Path
from tests.trainer.synthesis.corpus import asking
from trainer.feedback.samples import SamplesConfig, run

work = Path(sys.argv[2])
run(SamplesConfig(asking(sys.argv[1])), work, work / "samples")
"""


def test_every_problem_has_its_samples_with_ids_and_provenance(tmp_path: Path) -> None:
    write_problems(tmp_path / "problems", ADD, SUM)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "model" / "chat_template.jinja").write_text("{{ messages }}")
    weights = identify(tmp_path / "model")
    with serving(lambda _, seed: f"an answer {seed}") as server:
        config = SamplesConfig(asking(server.url, samples=2), policy=str(tmp_path / "model"))
        run(config, tmp_path, tmp_path / "samples")
    samples = read_samples(tmp_path / "samples")
    assert [(each.problem, each.number, each.text, each.seed) for each in samples] == [
        (problem, number, f"an answer {1 + number}", 1 + number)
        for problem in ("add", "sum")
        for number in range(2)
    ]
    for each in samples:
        assert each.sampler.weights == weights.digest
        assert each.sampler.template == weights.template
        assert each.token_ids == (2, 6, 1)
        assert each.log_probs == (-2.0, -6.0, -1.0)
        assert len(each.prompt_ids) == len(each.prompt.split())
    manifest = read_manifest(tmp_path / "samples")
    assert manifest["counts"]["sample: kept"] == 4
    assert manifest["sampler"]["weights"] == weights.digest


def test_another_policy_is_asked_anew_and_the_same_one_is_not(tmp_path: Path) -> None:
    write_problems(tmp_path / "problems", SUM)
    with serving() as server:
        for content in (b"one", b"one", b"two"):
            (tmp_path / "model").mkdir(exist_ok=True)
            (tmp_path / "model" / "model.safetensors").write_bytes(content)
            config = SamplesConfig(asking(server.url), policy=str(tmp_path / "model"))
            run(config, tmp_path, tmp_path / "samples")
        assert len(server.bodies) == 2


def test_a_server_without_token_ids_is_asked_for_none(tmp_path: Path) -> None:
    write_problems(tmp_path / "problems", SUM)
    with serving() as server:
        run(SamplesConfig(asking(server.url), token_ids=False), tmp_path, tmp_path / "samples")
        assert not {"return_token_ids", "logprobs"} & server.bodies[0].keys()
    assert read_samples(tmp_path / "samples")[0].token_ids == ()


def test_a_prompt_has_the_signature_and_none_of_the_tests() -> None:
    prompt = prompt_of(ADD, PromptTemplates())
    assert ADD.statement in prompt
    assert ADD.signature in prompt
    assert "return a + b" not in prompt
    assert "(2, 2)" not in prompt
    braces = Problem("p", "p", "math", "What is {x} if {{y}}?")
    assert "{x} if {{y}}" in prompt_of(braces, PromptTemplates())


def test_a_prompt_shows_as_many_tests_as_asked_for() -> None:
    shown = prompt_of(ADD, PromptTemplates(), examples=2)
    assert "assert add(1, 2) == 3" in shown
    assert "assert add(2, 2) == 4" in shown
    assert "-1" not in shown
    tests = (AssertTest("assert abs(f(1) - 2) < 1"), CallTest("(1,)", "[2]", "{'by': 3}"))
    problem = Problem("p", "p", "function", "Do it.", "f", "def f(a, by=1):", tests=tests)
    shown = prompt_of(problem, PromptTemplates(), examples=5)
    assert "assert abs(f(1) - 2) < 1" in shown
    assert "assert f(1, by=3) == [2]" in shown
    script = Problem("p", "p", "script", "Do it.", tests=(StdioTest("1 2\n", "3\n"),))
    assert "Input:\n1 2\n\nOutput:\n3\n" in prompt_of(script, PromptTemplates(), examples=1)


def test_a_template_that_leaves_the_problem_out_is_refused(tmp_path: Path) -> None:
    write_problems(tmp_path / "problems", SUM)
    config = SamplesConfig(asking("http://127.0.0.1:1"), templates=PromptTemplates(math="Solve."))
    with pytest.raises(StageError, match=r"has no \{statement\}"):
        run(config, tmp_path, tmp_path / "samples")


def test_neither_address_nor_policy_is_said_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"neither llm\.endpoint\.url nor policy"):
        check(SamplesConfig(asking("")), tmp_path)


def test_killed_in_the_middle_no_sample_is_lost_or_asked_twice(tmp_path: Path) -> None:
    many = [Problem(f"p{n}", f"p{n}", "math", f"def f{n}(x): what is f{n}(1)?") for n in range(60)]
    write_problems(tmp_path / "problems", *many)
    answers = Stopping(40)
    with serving(answers) as server:
        command = [sys.executable, "-c", SCRIPT, server.url, str(tmp_path)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            assert answers.stuck.wait(60)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        answers.release()
        with Ledger(tmp_path / "samples-answers") as ledger:
            written = len(ledger.completions())
        assert 36 <= written <= 40, "only the four requests in flight may be lost"
        asked = len(server.bodies)
        run(SamplesConfig(asking(server.url)), tmp_path, tmp_path / "samples")
        assert len(server.bodies) - asked == 60 - written
    samples = read_samples(tmp_path / "samples")
    assert [each.problem for each in samples] == [problem.id for problem in many]
