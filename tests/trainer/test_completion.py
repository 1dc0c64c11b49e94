"""The tab key after `python -m trainer`."""

import shutil

import pytest

from tests.test_completion import tab


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("python -m trainer sho", {"show"}),
        ("python -m trainer show --recipe code", {"code_dpo", "codepmp_cpu"}),
        ("python -m trainer show --sch", {"--schema"}),
        ("python -m trainer run --from cal", {"calibrate"}),
        ("python -m trainer run --work rel", {"releases/"}),
    ],
)
def test_tab_completes_commands_recipes_and_stages(line: str, offered: set[str]) -> None:
    assert tab(line) >= offered
