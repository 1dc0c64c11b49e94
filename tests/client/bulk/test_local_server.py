"""`--serve` starts the real service for the length of a job, and the service ends with it."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from codepmp_client.bulk import cli
from tests.client.bulk.test_pairs_command import read, written
from tests.releases import make_release

ROOT = Path(__file__).resolve().parents[3]
MAIN = "import sys; from codepmp_client.bulk.cli import main; sys.exit(main())"
PATIENCE = 60
"""Seconds; only a broken service needs them."""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("served") / "release")


def arguments(source: Path | str, target: Path, release: Path) -> list[str]:
    flags = ["--serve", str(release), "--serve-args=--device cpu"]
    return ["rows", str(source), str(target), *flags]


def serving(release: Path) -> list[int]:
    """The processes that serve a release."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"service" in words and str(release).encode() in words:
            found.append(int(process.name))
    return found


@contextmanager
def a_job_that_waits(
    release: Path, tmp_path: Path, until: str
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A job whose input never ends, when it has said something; and its server's process."""
    command = arguments("-", tmp_path / "out.jsonl", release)
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *command], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as job:
        try:
            assert job.stderr
            while until not in (line := job.stderr.readline().decode()):
                assert line, "the job ended too early"
            (server,) = serving(release)
            yield job, os.pidfd_open(server)
        finally:
            job.kill()


def test_rows_are_scored_without_a_server_and_none_is_left(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(tmp_path / "rows.jsonl", {"prompt": "add", "candidates": ["a + b", "a - b"]})
    assert cli.main(arguments(source, tmp_path / "out.jsonl", release)) == 0
    (row,) = read(tmp_path / "out.jsonl")
    assert (row["model"], row["version"]) == ("test-rm", "1")
    assert "the server was ready after" in capsys.readouterr().err
    assert serving(release) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "rows.jsonl"]


def test_the_server_ends_when_the_job_is_killed(release: Path, tmp_path: Path) -> None:
    with a_job_that_waits(release, tmp_path, "the server was ready") as (job, server):
        job.kill()
        # A pidfd can be read when its process has ended.
        assert select.select([server], [], [], PATIENCE)[0]


def test_ctrl_c_ends_the_server_and_then_the_job(release: Path, tmp_path: Path) -> None:
    with a_job_that_waits(release, tmp_path, "starting a server") as (job, server):
        job.send_signal(signal.SIGINT)
        assert job.wait(PATIENCE) == 130
        assert select.select([server], [], [], 0)[0]


def test_a_model_that_cannot_be_served_is_told_in_the_servers_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(tmp_path / "rows.jsonl", {"prompt": "add", "candidates": ["a + b"]})
    assert cli.main(arguments(source, tmp_path / "out.jsonl", tmp_path / "nothing")) == 1
    *_, last = capsys.readouterr().err.splitlines()
    assert "before it was ready: " in last
    assert str(tmp_path / "nothing") in last.split("before it was ready: ")[1]
    assert (tmp_path / "out.jsonl.server.log").stat().st_size


def test_without_the_service_a_sentence_says_where_to_run_it(tmp_path: Path) -> None:
    source = written(tmp_path / "rows.jsonl", {"prompt": "add", "candidates": ["a + b"]})
    # Without `site`, what is installed for development is not there: only the client and libraries.
    folders = [str(ROOT / "client"), *(p for p in sys.path if p.endswith("site-packages"))]
    run = subprocess.run(
        [
            *(sys.executable, "-S", "-c", f"import sys; sys.path += {folders!r}; {MAIN}"),
            *arguments(source, tmp_path / "out.jsonl", tmp_path),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2, run.stderr
    assert "--serve needs the server beside the client" in run.stderr


def test_arguments_of_a_server_need_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["rows", "in", "out", "--url", "http://127.0.0.1:1", "--serve-args=--device cpu"]
    assert cli.main(command) == 2
    assert "--serve-args is for the server that --serve starts" in capsys.readouterr().err
