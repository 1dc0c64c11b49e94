"""`--check` says before a start what the start would say."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reward_model.release.manifest import Golden
from reward_model.text.chat import Message
from service.app import create_app
from service.check import CheckFailed, CheckReport, check
from service.settings import Settings
from tests.checkpoints import make_checkpoint
from tests.releases import make_release
from tests.service.fakes import FakeEngine, HangingEngine, model
from tests.service.test_process import PATIENCE, ROOT, command
from tests.terminal import read_all

GOLDEN = Golden(messages=(Message("user", "a"), Message("assistant", "b!")), score=3.0)


async def checked(engine: FakeEngine, *golden: Golden, **settings: object) -> CheckReport:
    made = Settings.model_validate(settings)
    return await check(create_app(made, lambda _: model(engine, *golden)), ["a variable"])


async def test_a_model_that_is_proven_is_described_and_closed() -> None:
    report = await checked(engine := FakeEngine(), GOLDEN)
    (found,) = report.models
    assert (found.model, found.golden_scores, found.max_tokens) == ("fake-rm@1.2", 1, 64)
    assert (found.warnings, report.warnings) == (("not a real model",), ("a variable",))
    assert engine.closed
    text = "\n".join(report.lines())
    assert "fake-rm@1.2: 1 golden score" in text
    assert "warning: not a real model" in text


async def test_a_golden_score_that_is_not_reproduced_fails_with_what_to_do() -> None:
    engine = FakeEngine()
    with pytest.raises(CheckFailed, match=r"golden scores are not reproduced.*publish it again"):
        await checked(engine, GOLDEN.model_copy(update={"score": 4.0}))
    assert engine.closed


async def test_an_engine_that_hangs_while_it_is_proven_fails() -> None:
    engine = HangingEngine()
    with pytest.raises(CheckFailed, match="did not come back from a batch within"):
        await checked(engine, GOLDEN, engine_timeout_seconds=0.2)
    engine.over.set()


def test_without_a_terminal_the_report_is_one_json_object(tmp_path: Path) -> None:
    release, bare = make_release(tmp_path / "release"), make_checkpoint(tmp_path / "bare")
    (keys := tmp_path / "keys").write_text(f"team sha256:{'0' * 64}\n")
    (admin := tmp_path / "admin").write_text("sesame")
    flags = ["--model", str(release), "--also-serve", str(bare), "--api-keys-file", str(keys)]
    run = command("--check", "--port=0", "--admin-port=0", f"--admin-key-file={admin}", *flags)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["message"] == "Checked. A start with these settings becomes ready."
    assert [each["model"] for each in report["models"]] == ["test-rm@1", "bare@unversioned"]
    assert [each["golden_scores"] for each in report["models"]] == [1, 0]
    assert all(each["batch_tokens"] > 0 for each in report["models"])
    assert report["free_bytes"] > report["resident_bytes"] / 100


def test_what_ends_a_start_fails_the_check_with_the_same_sentence(tmp_path: Path) -> None:
    """Only a golden mismatch differs: the start then lives on, unready, for its log to be read."""
    (keys := tmp_path / "keys").write_text("SECRET\n")
    wrong = make_release(tmp_path / "wrong", golden_error=1.0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        faults = [
            ["--model", "/no/such/directory", "--port", "0"],
            ["--port", str(taken.getsockname()[1])],
            ["--api-keys-file", str(keys), "--port", "0"],
        ]
        for flags in faults:
            start, checking = command(*flags), command("--check", *flags)
            assert (start.returncode, checking.returncode) == (1, 1)
            last = [json.loads(run.stderr.splitlines()[-1]) for run in (start, checking)]
            assert last[0]["message"] == last[1]["message"]
            assert (start.stdout, checking.stdout) == ("", "")
    bad = command("--check", "--port", "http")
    assert bad.returncode == 2
    mismatch = command("--check", "--port", "0", "--model", str(wrong))
    assert mismatch.returncode == 1
    last_line = json.loads(mismatch.stderr.splitlines()[-1])["message"]
    assert "1 of 1 golden scores are not reproduced" in last_line


def test_at_a_terminal_a_failure_is_one_sentence(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    flags = ["--check", "--port", "0", "--model", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "service", *flags], stdout=theirs, stderr=theirs, cwd=ROOT
    )
    assert process.wait(PATIENCE) == 1
    os.close(theirs)
    shown = read_all(ours).splitlines()
    assert len(shown) == 1
    assert shown[0].startswith(f"{tmp_path}")


STUCK = """
import sys
from service.__main__ import serve
from service.settings import Settings

def opener(settings):
    print("loading", flush=True)
    sys.stdin.readline()

serve(Settings(check=True, port=0), opener)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_check_without_a_verdict(sent: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "loading\n"
    process.send_signal(sent)
    # Its standard input stays open, because loading must not end by itself meanwhile.
    assert process.wait(PATIENCE) == 130
    printed, log = process.communicate()
    assert printed == ""
    assert json.loads(log.splitlines()[-1])["message"].startswith("stopped")
    assert "Traceback" not in log
