"""`scripts/train` installs what training needs and hands its words on, from wherever one stands."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_it_installs_the_trainer_and_stays_where_the_user_stands(tmp_path: Path) -> None:
    checkout, place = tmp_path / "check out", tmp_path / "place"
    (checkout / "scripts").mkdir(parents=True)
    (checkout / ".venv/bin").mkdir(parents=True)
    place.mkdir()
    shutil.copy(ROOT / "scripts/train", checkout / "scripts/train")
    for name, text in (
        ("scripts/install", 'echo "installs $*"'),
        (".venv/bin/python", 'pwd; printf "%s|" "$@"'),
    ):
        (checkout / name).write_text(f"#!/bin/sh\n{text}\n")
        (checkout / name).chmod(0o755)
    words = ["--base", "a model", "--data", "mine.csv"]
    run = subprocess.run(
        [checkout / "scripts/train", *words], cwd=place, capture_output=True, text=True, check=True
    )
    assert run.stderr == "installs trainer\n"
    assert run.stdout == f"{place}\n-P|-m|trainer|train|--base|a model|--data|mine.csv|"
