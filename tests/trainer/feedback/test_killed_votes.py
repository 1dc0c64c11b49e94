"""Voting and pairing, killed at many moments: nothing is lost, and nothing is done twice."""

import subprocess
import sys
from pathlib import Path

from tests.trainer.feedback.made import (
    function,
    make_problems,
    make_runs,
    make_samples,
    runs_of,
    sampled,
)

# A forked child has everything imported. Its timer counts CPU time and ends it as SIGKILL would:
# without any cleaning up.
KILLED = """
import os, signal, sys
from pathlib import Path

from tests.trainer.feedback.sandboxes import FakeSandbox
from trainer.feedback import pairs, votes
from trainer.feedback.given_tests import grade_samples
from trainer.feedback.grading import Grader
from trainer.feedback.pair_rules import PassMargin
from trainer.feedback.pairs import PolicyPairsConfig
from trainer.feedback.problem import CallTest, Problem
from trainer.feedback.sandbox.types import Limits
from trainer.feedback.verdict_ledger import VerdictLedger
from trainer.feedback.votes import VotesConfig
from collections import Counter
from tests.trainer.feedback.made import sampled

ADD = Problem("a", "a", "function", "", entry_point="f", tests=(CallTest("(1,)", "1"),))
SAMPLES = [sampled("a", n, f"def f(x): return x + {n}") for n in range(60)]


def stages(work, calls):
    def run(program, given):
        os.write(calls, program.code[-2:].encode() + b";")
        return FakeSandbox()._reply(program, given)

    sandbox = FakeSandbox(run, workers=1)
    with VerdictLedger(work / "ledger" / "verdicts.sqlite") as known:
        grader = Grader(sandbox, Limits(), ledger=known)
        found = grade_samples([ADD], {"a": SAMPLES}, grader, 1, Counter())
    assert len(found) == 60
    if not (work / "votes" / "manifest.json").is_file():
        votes.run(VotesConfig(min_valid=2, resamples=20), work, work / "votes")
    rule = PassMargin(min_difference=1)
    pairs.run(PolicyPairsConfig(rule=rule, exports=()), work, work / "policy_pairs")


def run(work, step):
    kills, status = 0, None
    calls = os.open(work / "calls", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    while status != 0:
        child = os.fork()
        if child == 0:
            # Later and later, through all of the work; 0 is never.
            signal.setitimer(signal.ITIMER_PROF, step * (kills + 1))
            stages(work, calls)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        kills += status != 0
        assert status in (0, signal.SIGPROF), status
    return kills


print(run(Path(sys.argv[1]), 0.0), run(Path(sys.argv[2]), 0.01))
"""


def make_work(folder: Path) -> Path:
    folder.mkdir()
    names = [f"p{number}" for number in range(40)]
    make_problems(folder / "problems", [function(name) for name in names])
    make_samples(folder / "samples", [sampled(name, n) for name in names for n in range(4)])
    outputs = [("1", "2"), ("1", "2"), ("1", "3"), ("2", "3")]
    make_runs(
        folder / "runs",
        [
            runs_of(f"{name}-{number}", name, *output)
            for name in names
            for number, output in enumerate(outputs)
        ],
    )
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for stage in ("votes", "policy_pairs")
        for file in (folder / stage).iterdir()
        if file.name != "manifest.json"  # it names the commit
    }


def test_a_killed_stage_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole, killed = (make_work(tmp_path / name) for name in ("whole", "killed"))
    command = [sys.executable, "-c", KILLED, str(whole), str(killed)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-2000:]
    none, kills = map(int, process.stdout.split())
    assert none == 0
    assert kills >= 3
    assert files(killed) == files(whole)
    # Each program once, and once more for a kill in its run.
    calls = (killed / "calls").read_bytes().split(b";")[:-1]
    assert len(set(calls)) == 60
    assert 60 <= len(calls) <= 60 + kills
