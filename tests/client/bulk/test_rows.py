"""Whole runs of `codepmp-score rows` against real services: in order, complete, gone on with."""

import contextlib
import gzip
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pyarrow
import pyarrow.parquet
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from codepmp_client.bulk import tables
from codepmp_client.bulk.cli import main
from codepmp_client.bulk.ledger import Ledger
from codepmp_client.bulk.tables import Record
from service.app import create_app
from service.scoring.model import Model
from service.settings import Settings
from tests.client.servers import Fault, Faulty, busy, service, serving
from tests.service.auth.test_key_file import line
from tests.service.fakes import CALIBRATION, MAX_TOKENS, model, release

ROOT = Path(__file__).resolve().parents[3]


def write(file: Path, rows: Sequence[Record]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def read(file: Path) -> list[Record]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def run(source: Path, target: Path, url: str, *options: str) -> int:
    return main(["rows", str(source), str(target), "--url", url, *options])


def some_rows(count: int) -> list[Record]:
    return [{"id": n, "prompt": f"p{n // 3}", "response": "x" * (1 + n % 40)} for n in range(count)]


def expected(row: Record) -> Record:
    raw = float(len(str(row["prompt"])) + len(str(row["response"])))
    normalized = CALIBRATION.apply(raw)
    model = {"model": "fake-rm", "version": "1.2"}
    return {**row, "score": raw, "normalized": normalized, "error": None, **model}


def test_rows_come_out_in_order_with_their_scores_and_the_rest_as_it_was(tmp_path: Path) -> None:
    rows = some_rows(2500)
    source, target = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    with service(busy(), busy()) as (url, _):
        assert run(source, target, url) == 0
    assert read(target) == list(map(expected, rows))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_lists_of_candidates_get_lists(tmp_path: Path) -> None:
    candidates = [{"text": "a", "model": "m"}, {"text": ""}, {"text": "x" * MAX_TOKENS}, None]
    rows: list[Record] = [
        {"prompt": "p", "candidates": candidates},
        {"prompt": "p", "candidates": []},
    ]
    with service() as (url, _):
        assert run(write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl", url) == 3
    first, second = read(tmp_path / "out.jsonl")
    assert first["scores"] == [2.0, None, None, None]
    assert first["normalized"] == [CALIBRATION.apply(2.0), None, None, None]
    errors = first["errors"]
    assert isinstance(errors, list)
    assert [str(error).partition(":")[0] for error in errors] == [
        "None",
        "empty",
        "too_long",
        "invalid_row",
    ]
    assert second["scores"] == []


def test_parquet_keeps_its_types_and_a_column_model_is_not_replaced(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "messages": [[{"role": "user", "content": "p", "name": None}]] * 3,
            "completion": ["a", "bb", None],
            "model": ["m"] * 3,
            "day": pyarrow.array([1, 2, None], pyarrow.date32()),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    with service() as (url, _):
        assert run(tmp_path / "in.parquet", tmp_path / "out.parquet", url) == 3
    out = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert out.select(table.column_names).equals(table)
    assert out["score"].to_pylist() == [2.0, 3.0, None]
    assert out["error"].to_pylist()[2] == "invalid_row: completion is missing"
    assert out["reward_model"].to_pylist() == ["fake-rm", "fake-rm", None]


def test_lines_of_openais_batch_format_keep_their_custom_id(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"}]
    line: Record = {
        **{"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions"},
        "body": {"model": "gpt-x", "messages": turns},
    }
    with service() as (url, _):
        assert run(write(tmp_path / "in.jsonl", [line]), tmp_path / "out.jsonl", url) == 0
    (out,) = read(tmp_path / "out.jsonl")
    assert (out["custom_id"], out["score"], out["body"]) == ("r-1", 2.0, line["body"])


def test_equal_rows_are_scored_once_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small chunks, so that an equal row is in the same one, in one under way, and in a past one.
    monkeypatch.setattr("codepmp_client.bulk.json_lines.CHUNK_ROWS", 2)
    rows: list[Record] = [{"prompt": "p", "response": "a", "id": n} for n in range(30)]
    with service() as (url, served):
        assert run(write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl", url, "--json") == 0
    assert len(served.headers) == 1
    summary = json.loads(capsys.readouterr().out)
    assert (summary["rows"], summary["scored"], summary["duplicates"]) == (30, 30, 29)
    assert read(tmp_path / "out.jsonl") == list(map(expected, rows))


def test_a_broken_line_is_told_by_number_and_costs_nothing_that_was_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = some_rows(4)
    lines = [json.dumps(row) for row in rows]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\r\n".join([*lines[:2], '{"prompt": "p', *lines[2:], ""]), newline="")
    with service() as (url, served):
        assert run(source, target, url) == 1
        told = capsys.readouterr().err
        assert "line 3 is not JSON" in told
        assert "--bad-rows skip" in told
        assert not target.exists()
        sent = len(served.headers)
        assert run(source, target, url, "--bad-rows", "skip", "--json") == 3
        assert len(served.headers) == sent
    captured = capsys.readouterr()
    assert json.loads(captured.out)["reused"] == 4
    assert "has changed" not in captured.err
    assert read(target) == list(map(expected, rows))


def test_a_mended_line_is_all_that_is_scored_the_second_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = some_rows(3)
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(f"{json.dumps(rows[0])}\nbroken\n{json.dumps(rows[2])}\n")
    with service() as (url, served):
        assert run(source, target, url) == 1
        sent = len(served.headers)
        assert run(write(source, rows), target, url) == 0
        assert len(served.headers) == sent + 1
    assert "has changed since" in capsys.readouterr().err
    assert read(target) == list(map(expected, rows))


def test_columns_that_are_there_already_are_refused_or_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in.jsonl", [{"prompt": "p", "response": "a", "score": 0, "b": 1}])
    with service() as (url, _):
        assert run(source, tmp_path / "out.jsonl", url) == 2
        assert "column score already: --overwrite replaces" in capsys.readouterr().err
        assert run(source, tmp_path / "out.jsonl", url, "--overwrite") == 0
    (row,) = read(tmp_path / "out.jsonl")
    assert (row["score"], row["b"]) == (2.0, 1)


def test_a_later_row_with_such_a_column_is_a_bad_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[Record] = [{"prompt": "p", "response": "a"}]
    source = write(tmp_path / "in.jsonl", [*rows, {**rows[0], "score": 1}])
    with service() as (url, _):
        assert run(source, tmp_path / "out.jsonl", url) == 1
    told = capsys.readouterr().err
    assert "line 2 is a row that has score already" in told
    assert "1 line of" in told


@pytest.mark.parametrize(
    ("content", "options", "code", "says"),
    [
        ('{"text": "a"}', (), 2, "--prompt-column"),
        ('{"prompt": "a", "response": "b"}', ("--prompt-column", "x"), 2, "no column x"),
        ("[1]\n[2]", (), 1, "JSON array"),
        ("nothing", (), 1, "line 1 is not JSON"),
        ('{"prompt": "a", "response": "b"}', ("--model", "other"), 1, "name one"),
        ('{"prompt": "a", "response": "b"}', ("--api-key-file", "/no/key"), 2, "key file"),
        ('{"prompt": "a", "response": "b"}', ("--api-key-file", "/dev/null"), 2, "one line"),
        ('{"prompt": "a", "response": "b"}', ("--url", "http://a b"), 2, "is no URL"),
        ('{"prompt": "a", "response": "b"}', ("--url", "localhost:8000"), 2, "is no URL"),
        ('{"prompt": "a", "response": "b"}', ("--url", "http://x:99999"), 2, "is no URL"),
        ('{"prompt": "a", "response": "b"}', ("--concurrency", "0"), 2, "at least 1"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    options: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    (tmp_path / "in.jsonl").write_text(content)
    with service() as (url, _):
        assert run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", url, "--quiet", *options) == code
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize("name", ["in.jsonl", "in.parquet"])
def test_no_rows_are_no_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "in.jsonl").write_text("\n")
    pyarrow.parquet.write_table(
        pyarrow.table({"prompt": pyarrow.array([], "string")}), tmp_path / "in.parquet"
    )
    target = tmp_path / name.replace("in", "out")
    assert run(tmp_path / name, target, "http://127.0.0.1:1") == 0
    assert [row for chunk in tables.read_chunks(str(target)) for row in chunk.rows] == []


def test_a_server_that_is_not_there_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in.jsonl", some_rows(1))
    assert run(source, tmp_path / "out.jsonl", "http://127.0.0.1:1") == 1
    assert "no server answers at http://127.0.0.1:1" in capsys.readouterr().err


def test_a_row_of_ten_megabytes_gets_its_error_and_the_others_their_scores(tmp_path: Path) -> None:
    rows = some_rows(3)
    rows[1]["response"] = "x" * 10_000_000
    with service() as (url, _):
        assert run(write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl", url) == 3
    first, large, last = read(tmp_path / "out.jsonl")
    assert (first["score"], large["score"], last["score"]) == (3.0, None, 5.0)
    assert str(large["error"]).startswith("too_long: ")


def test_a_server_that_fails_on_everything_ends_the_run_and_leaves_it_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = some_rows(400)
    source, target = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    with service(*[busy(500, None)] * 2000) as (url, served):
        assert run(source, target, url) == 1
        assert "100 rows in a row failed inside the server" in capsys.readouterr().err
        served.faults.clear()
        assert run(source, target, url) == 0
    assert read(target) == list(map(expected, rows))


def test_over_long_prompts_are_cut_where_that_is_asked_for(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"prompt": "p" * 200, "response": "a"}])
    with service() as (url, _):
        options = ("--over-length", "truncate_prompt")
        assert run(source, tmp_path / "out.jsonl", url, *options) == 0
    assert read(tmp_path / "out.jsonl")[0]["score"] == MAX_TOKENS


def _same(opened: Model, _: object) -> Model:
    return opened


@contextlib.contextmanager
def versions(*names: str, switch_after: int = 10**9) -> Iterator[tuple[str, Faulty]]:
    """A service whose model is the first version, and the next one after so many requests."""
    apps: list[ASGIApp] = []
    for name in names:
        versioned = replace(model(), release=replace(release(), version=name))
        apps.append(create_app(Settings(), partial(_same, versioned)))
    left = switch_after

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal left
        left -= scope["type"] == "http" and scope["path"] == "/v1/score"
        await apps[0 if left >= 0 else -1](scope, receive, send)

    with contextlib.ExitStack() as stack:
        for each in apps[1:]:
            # The second app has a lifespan of its own.
            stack.enter_context(serving(each))
        faulty = Faulty(app, [])
        url = stack.enter_context(serving(faulty))
        while httpx.get(f"{url}/readyz", trust_env=False).status_code != 200:
            pass
        yield url, faulty


def test_another_version_in_the_middle_is_refused_unless_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = some_rows(600)
    source, target = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    with versions("1", "2", switch_after=4) as (url, _):
        assert run(source, target, url, "--concurrency", "1") == 1
        assert "by fake-rm 1 so far, and now by fake-rm 2" in capsys.readouterr().err
        assert not target.exists()
        assert run(source, target, url, "--mixed-versions", "--json") == 0
    assert json.loads(capsys.readouterr().out)["reused"] > 0
    out = read(target)
    assert {row["version"] for row in out} == {"1", "2"}
    assert [row["id"] for row in out] == list(range(600))


def test_a_run_does_not_go_on_with_another_version_but_may_begin_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = some_rows(2)
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps(rows[0]) + "\nbroken\n")
    with versions("1") as (url, _):
        assert run(source, target, url) == 1
    write(source, rows)
    with versions("2") as (url, served):
        assert run(source, target, url) == 1
        assert "--restart" in capsys.readouterr().err
        assert served.headers == []
        assert run(source, target, url, "--restart") == 0
    assert {row["version"] for row in read(target)} == {"2"}


def test_servers_of_different_versions_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in.jsonl", some_rows(2))
    with versions("1") as (one, _), versions("2") as (two, _):
        assert run(source, tmp_path / "out.jsonl", one, "--url", two) == 1
    assert "do not serve the same" in capsys.readouterr().err


def test_two_runs_on_one_output_are_one_too_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in.jsonl", some_rows(2))
    with service() as (url, _), Ledger(tmp_path / "out.jsonl.ledger"):
        assert run(source, tmp_path / "out.jsonl", url) == 1
    assert "another run" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_keeps_what_was_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = write(tmp_path / "in.jsonl", some_rows(3000)), tmp_path / "out.jsonl"
    (tmp_path / "out.jsonl.partial").symlink_to("/dev/full")
    with service() as (url, _):
        assert run(source, target, url, "--quiet") == 1
        told = capsys.readouterr().err
        assert "No space left on device" in told
        assert told.count("\n") == 1
        assert run(source, target, url, "--json") == 0
    assert json.loads(capsys.readouterr().out)["reused"] > 0
    assert read(target) == list(map(expected, some_rows(3000)))


def process(source: Path, target: Path, url: str, **options: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "codepmp_client.bulk", "rows", str(source), str(target)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "client")}
    return subprocess.Popen(
        [*command, "--url", url, "--concurrency", "2"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_that_is_killed_again_and_again_ends_as_an_undisturbed_one(
    tmp_path: Path, seed: int
) -> None:
    rows = some_rows(1500)
    source, target = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    chance = random.Random(seed)
    with service() as (url, served):
        for _ in range(3):
            with process(source, target, url) as killed:
                for _ in range(chance.randrange(1, 6)):
                    served.arrived.acquire(timeout=10)
                killed.send_signal(signal.SIGKILL)
        while served.arrived.acquire(blocking=False):
            pass
        sent = len(served.headers)
        with process(source, target, url) as last:
            assert last.wait(60) == 0
    assert read(target) == list(map(expected, rows))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]
    assert sent < len(served.headers) + 3 * 8


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    source, target = write(tmp_path / "in.jsonl", some_rows(2000)), tmp_path / "out.jsonl"
    faults: list[Fault] = [busy(retry_after="1")] * 40
    with service() as (url, served):
        with process(source, target, url) as interrupted:
            for _ in range(3):
                served.arrived.acquire(timeout=10)
            served.faults.extend(faults)
            interrupted.send_signal(signal.SIGINT)
            _, told = interrupted.communicate(timeout=20)
        assert interrupted.returncode == 130
        assert b"the same command goes on" in told
        assert b"Traceback" not in told
        served.faults.clear()
        assert run(source, target, url) == 0
    assert read(target) == list(map(expected, some_rows(2000)))


def test_rows_are_read_from_a_pipe_compressed_or_not(tmp_path: Path) -> None:
    rows = some_rows(5)
    source = write(tmp_path / "in.jsonl", rows)
    command = [
        sys.executable,
        "-m",
        "codepmp_client.bulk",
        "rows",
        "-",
        str(tmp_path / "out.jsonl.gz"),
    ]
    with service() as (url, _):
        subprocess.run(
            [*command, "--url", url],
            input=gzip.compress(source.read_bytes()),
            env={**os.environ, "PYTHONPATH": str(ROOT / "client")},
            check=True,
            capture_output=True,
        )
    lines = gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()).decode().splitlines()
    assert list(map(json.loads, lines)) == list(map(expected, rows))


def test_a_key_opens_the_server_and_neither_it_nor_a_text_is_told_or_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").write_text(line("team", "SECRET"))
    (tmp_path / "key").write_text("SECRET\n")
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    row = {"prompt": "PRIVATE", "response": "PRIVATE"}
    source.write_text(f'{json.dumps(row)}\n{{"PRIVATE": "\n{json.dumps({"prompt": "PRIVATE"})}\n')
    with service(api_keys_file=tmp_path / "keys") as (url, _):
        assert run(source, target, url) == 1
        assert "--api-key-file" in capsys.readouterr().err
        assert run(source, target, url, "--api-key-file", str(tmp_path / "key")) == 1
        monkeypatch.setenv("CODEPMP_API_KEY", "SECRET")
        with Ledger(tmp_path / "out.jsonl.ledger") as ledger:
            assert ledger.rows() == 1
        kept = (tmp_path / "out.jsonl.ledger").read_bytes()
        assert run(source, target, url, "--bad-rows", "skip") == 3
    told = capsys.readouterr()
    for secret in ("SECRET", "PRIVATE"):
        assert secret not in told.err + told.out
        assert secret.encode() not in kept
