"""The walls are tried from inside; a sandbox without walls is told apart from one that has them."""

import shutil
from pathlib import Path

import pytest

from tests.bubblewrap import needs_bubblewrap
from tests.trainer.feedback.sandbox.fusion_server import fusion_server
from trainer.cli import main
from trainer.feedback.sandbox.open import SandboxConfig
from trainer.feedback.sandbox.self_test import examine_walls


@needs_bubblewrap
def test_every_wall_of_bubblewrap_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox"]) == 0
    printed = capsys.readouterr().out
    assert "OPEN" not in printed
    assert "holds  nothing outlives its run" in printed


def test_without_walls_it_says_what_is_open_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = [Path("/"), Path("/tmp"), Path("/var/tmp"), Path.cwd()]  # noqa: S108 - only looked at
    before = {path for place in places for path in place.glob("walls-*")}
    assert main(["sandbox", "--isolation", "none"]) == 1
    message = capsys.readouterr().err
    for wall in ("no network", "no file of the user", "nothing outlives its run"):
        assert f"OPEN   {wall}" in message
    assert "holds  memory is limited" in message
    assert "Run no program that a model wrote with it" in message
    assert {path for place in places for path in place.glob("walls-*")} <= before


def test_a_server_without_isolation_is_found_out() -> None:
    with fusion_server() as server:
        found = examine_walls(SandboxConfig("sandbox_fusion", workers=1, url=server.url))
    held = {each.wall for each in found if each.holds}
    assert "no file of the user" not in held
    assert {"CPU time is limited", "memory is limited", "the next program runs"} <= held


def test_where_bubblewrap_is_missing_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert shutil.which("bwrap") is None
    assert main(["sandbox"]) == 1
    assert "apt-get install bubblewrap" in capsys.readouterr().err


def test_a_server_needs_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "--isolation", "sandbox_fusion"]) == 1
    assert "set url" in capsys.readouterr().err
