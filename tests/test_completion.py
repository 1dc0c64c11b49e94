"""The tab key in bash, with the lines that docs/README.md says to put into ~/.bashrc."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60

# What bash does when the tab key is pressed after a line, without a terminal.
TAB = r"""
eval "$(python -m argcomplete.scripts.activate_global_python_argcomplete --dest=-)"
eval "$(python -m argcomplete.scripts.register_python_argcomplete serve train)"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
COMP_WORDS=($1) COMP_CWORD=1
complete=$(complete -p "${COMP_WORDS[0]##*/}" 2>/dev/null || complete -p -D)
[[ $complete =~ -F\ ([a-z_]+) ]]
"${BASH_REMATCH[1]}" "${COMP_WORDS[0]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


def tab(line: str) -> set[str]:
    """The words that bash offers at the end of a line."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        [shutil.which("bash") or "", "--norc", "-c", TAB, "tab", line],
        capture_output=True,
        check=True,
        text=True,
        cwd=ROOT,
        timeout=PATIENCE,
        env=os.environ | {"PATH": programs},
    )
    return {word.strip() for word in run.stdout.splitlines()} - {""}


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("python -m service --max-b", {"--max-batch-tokens", "--max-body-bytes"}),
        ("python -m service --device ", {"auto", "cpu", "cuda"}),
        ("python -m service --dialects native,op", {"native,openai", "native,openrlhf"}),
        ("python -m service --model rel", {"releases/"}),
        ("python -m trainer run --rec", {"--recipe"}),
        ("scripts/train --ba", {"--base"}),
        ("codepmp-score ro", {"rows"}),
        ("codepmp-score rows --over-length ", {"error", "truncate_prompt"}),
        ("scripts/serve --max-b", {"--max-batch-tokens", "--max-body-bytes"}),
    ],
)
def test_tab_completes_flags_and_their_values(line: str, offered: set[str]) -> None:
    assert tab(line) >= offered
