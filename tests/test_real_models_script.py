"""The script that tries real models says so where there are none to be had."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("missing", ["MODELS_FETCH", "MODELS_DATA"])
def test_without_models_or_data_it_says_not_tested_and_succeeds(
    tmp_path: Path, missing: str
) -> None:
    fetch = tmp_path / "fetch"
    fetch.write_text("raise SystemExit(1)")
    nowhere = str(tmp_path / "nowhere")
    variables = {"MODELS_FETCH": str(fetch), "MODELS_DATA": nowhere, missing: nowhere}
    run = subprocess.run(
        [str(ROOT / "scripts" / "test-real-models")],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0
    assert "REAL MODELS NOT TESTED" in run.stdout
    assert nowhere in run.stdout
