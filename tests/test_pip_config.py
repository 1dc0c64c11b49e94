"""What a build is told of this machine's pip, and that none of it can stay in the image."""

import configparser
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECRET = "https://ci:SECRET-TOKEN@packages.example.com/simple"


def run(tmp_path: Path, **variables: str) -> tuple[list[str], configparser.ConfigParser]:
    """The options that are printed, and the pip.conf that is written."""
    file = tmp_path / "made.conf"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    command = [sys.executable, "scripts/pip_config.py", str(file)]
    made = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, env={**kept, **variables}
    )
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(file)
    return made.stdout.splitlines(), parser


def test_a_password_in_an_address_is_in_the_mounted_file_alone(tmp_path: Path) -> None:
    options, conf = run(tmp_path, PIP_INDEX_URL=SECRET, PIP_EXTRA_INDEX_URL=SECRET)
    assert conf["global"]["index-url"] == conf["global"]["extra-index-url"] == SECRET
    assert "SECRET" not in "".join(options)
    assert (tmp_path / "made.conf").stat().st_mode & 0o077 == 0


def test_nothing_is_passed_as_a_variable(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("certificates")
    options, conf = run(tmp_path, PIP_TIMEOUT="7", PIP_CERT=str(bundle), SSL_CERT_FILE=str(bundle))
    assert all(option.startswith("--volume=") and option.endswith(":ro") for option in options)
    assert conf["global"]["timeout"] == "7"
    assert f"--volume={bundle}:{bundle}:ro" in options


def test_variables_count_more_than_files(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://file.example.com\n[install]\ntimeout = 3\n")
    _, conf = run(tmp_path, PIP_CONFIG_FILE=str(file), PIP_INDEX_URL=SECRET, PIP_TIMEOUT="9")
    assert conf["global"]["index-url"] == SECRET
    assert conf["install"]["timeout"] == "9"
    assert "config-file" not in conf["global"]


def test_local_folders_of_wheels_are_mounted(tmp_path: Path) -> None:
    wheels, index = tmp_path / "wheels", tmp_path / "index" / "simple"
    wheels.mkdir()
    index.mkdir(parents=True)
    options, _ = run(tmp_path, PIP_FIND_LINKS=str(wheels), PIP_INDEX_URL=index.as_uri())
    assert f"--volume={wheels}:{wheels}:ro" in options
    assert f"--volume={index.parent}:{index.parent}:ro" in options
