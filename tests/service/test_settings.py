import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings, unknown_variables

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        capture_output=True,
        check=False,
        text=True,
        cwd=ROOT,
        timeout=60,
        env={"REWARD_MAX_CANDIDATES": "none", "COLUMNS": "100"},
    )


def test_every_flag_is_a_variable_and_the_flag_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWARD_MAX_BATCH_TOKENS", "17")
    monkeypatch.setenv("REWARD_MAX_WAIT_MS", "2.5")
    settings = Settings(_cli_parse_args=["--max-batch-tokens", "18"])
    assert (settings.max_batch_tokens, settings.max_wait_ms) == (18, 2.5)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc] # that is the point


def test_misspelt_variables_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWARD_MAX_BATCH_TOKEN", "17")
    monkeypatch.setenv("REWARD_PORT", "17")
    assert unknown_variables() == ["REWARD_MAX_BATCH_TOKEN"]


def test_help_lists_every_setting_with_what_it_does() -> None:
    text = command("--help").stdout
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')} " in text
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("name", [n for n in Settings.model_fields if n.startswith("max_")])
def test_a_limit_says_what_happens_at_it(name: str) -> None:
    description = str(Settings.model_fields[name].description)
    assert re.search(r"answered \d{3}|runs alone|the batch runs", description)


def test_bad_settings_exit_with_2_and_name_the_flag_and_the_variable() -> None:
    run = command("--port", "http")
    assert run.returncode == 2
    assert "--port (or REWARD_PORT)" in run.stderr
    assert "--max-candidates (or REWARD_MAX_CANDIDATES)" in run.stderr
    assert "Traceback" not in run.stderr


def test_hosts_and_the_status_of_overload_are_read_from_flags() -> None:
    flags = ["--trusted-hosts", "a.example.com, *.internal [::1]", "--overload-status", "429"]
    settings = Settings(_cli_parse_args=flags)
    assert settings.trusted_hosts == ("a.example.com", "*.internal", "[::1]")
    assert settings.overload_status == "429"


@pytest.mark.parametrize("host", ["https://a.example.com", "*", "*example.com", "a.*.com", "a:80"])
def test_a_trusted_host_is_a_name_alone(host: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"trusted_hosts": host})


@pytest.mark.parametrize("name", ["a@1", "a+b", "a,b", " a", "a\n", "a/versions/1"])
def test_a_model_s_name_can_mean_no_other_model(name: str) -> None:
    with pytest.raises(ValidationError, match="must "):
        Settings(model_name=name)


@pytest.mark.parametrize("elsewhere", [{"engine": "vllm"}, {"device": "cuda"}])
def test_engine_processes_are_for_cpus_alone(elsewhere: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="choose --engine torch --device cpu"):
        Settings.model_validate({"engine_processes": 2, **elsewhere})
    assert Settings.model_validate(elsewhere).engine_processes == 1


def test_an_unknown_flag_exits_with_2() -> None:
    run = command("--batch-size", "3")
    assert run.returncode == 2
    assert "--batch-size" in run.stderr


@pytest.mark.parametrize(
    "name", sorted(set(Settings.model_fields) - {"also_serve", "trusted_hosts"})
)
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_variable_is_refused_unless_that_is_the_same_as_unset(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """An empty host would listen on every address, and empty dialects would serve nothing."""
    monkeypatch.setenv(f"REWARD_{name.upper()}", value)
    with pytest.raises(ValidationError, match="is empty"):
        Settings()


def test_dialects_that_name_none_are_refused() -> None:
    with pytest.raises(ValidationError, match="dialects"):
        Settings.model_validate({"dialects": ","})


def test_empty_lists_are_the_same_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWARD_ALSO_SERVE", "")
    monkeypatch.setenv("REWARD_TRUSTED_HOSTS", "")
    assert (Settings().also_serve, Settings().trusted_hosts) == ((), ())


FLOATS = [name for name, field in Settings.model_fields.items() if "float" in str(field.annotation)]


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", ["1e300", "inf", "nan", "-1"])
def test_a_number_of_absurd_size_is_refused_with_its_limit(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match="Input should be"):
        Settings.model_validate({name: value})
