"""What the documentation shows runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.servers import service

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["docs/client.md", "client/README.md"])
def test_the_first_call_shown_runs(page: str) -> None:
    first, *_ = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    with service() as (url, _):
        code = first.replace("http://127.0.0.1:8000", url)
        run = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT / "client",
            capture_output=True,
            check=False,
            text=True,
        )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("0 ")
