import subprocess
import sys
from pathlib import Path

from service.auth.key_file import digest_of, read_keys

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service.keys", *arguments],
        capture_output=True,
        check=False,
        text=True,
        cwd=ROOT,
        timeout=60,
    )


def test_the_command_prints_the_key_once_and_the_line_for_the_file(tmp_path: Path) -> None:
    runs = [command("new", "team-a"), command("new", "team-b")]
    path = tmp_path / "keys"
    path.write_text("".join(run.stdout for run in runs))
    printed = [run.stderr.split()[-1] for run in runs]
    keys = read_keys(path)
    assert [(key.name, key.digest) for key in keys] == [
        ("team-a", digest_of(printed[0])),
        ("team-b", digest_of(printed[1])),
    ]
    assert all(key.startswith("rmk-") and len(key) == 47 for key in printed)
    assert printed[0] not in runs[0].stdout


def test_the_command_refuses_a_name_that_the_file_would() -> None:
    run = command("new", "two words")
    assert run.returncode == 2
    assert "a name is" in run.stderr
