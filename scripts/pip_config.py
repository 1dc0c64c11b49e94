"""Writes how this machine's pip is configured to a file, for a build that shall install as it does.

    python3 scripts/pip_config.py FILE

FILE becomes a pip.conf with what pip's own files and variables say here. Options of `podman build`
are printed, one a line; they mount that file, the certificates and the local folders that it names.
Nothing is passed as a variable: `podman build --env` would keep it in the image, and the address of
an index may hold a password.
"""

import ast
import configparser
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse


def configured() -> dict[str, dict[str, str]]:
    """pip's settings by section, later sources over earlier ones, as pip itself reads them."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    sections: dict[str, dict[str, str]] = {"global": {}}
    variables = {}
    for line in listed.splitlines():
        name, _, quoted = line.partition("=")
        section, _, key = name.rpartition(".")
        value = str(ast.literal_eval(quoted))
        if section == ":env:":
            variables[key] = value
        else:
            sections.setdefault(section, {})[key] = value
    # Variables count for every command, and more than any file.
    variables.pop("config-file", None)
    for values in sections.values():
        values |= {key: value for key, value in variables.items() if key in values}
    sections["global"] |= variables
    # Where Python trusts another bundle than its own, the build's pip needs that one.
    if bundle := os.environ.get("SSL_CERT_FILE"):
        sections["global"].setdefault("cert", bundle)
    return sections


def mounted(sections: dict[str, dict[str, str]]) -> list[Path]:
    """Local files and folders among the settings; of an index, its parent, where the files lie."""
    found = set()
    values = (value for section in sections.values() for value in section.values())
    for word in " ".join(values).split():
        url = urlparse(word)
        path = Path(url.path)
        if url.scheme in ("", "file") and path.is_absolute() and path.exists():
            found.add(path.parent if url.scheme == "file" else path)
    return sorted(found)


def write(file: Path, sections: dict[str, dict[str, str]]) -> Iterator[str]:
    """Write the pip.conf, and yield the options that mount it and what it names, read-only."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict(sections)
    # Whoever may read an index's password here is its user alone.
    file.touch(mode=0o600)
    file.chmod(0o600)
    with file.open("w") as stream:
        parser.write(stream)
    yield f"--volume={file.absolute()}:/etc/pip.conf:ro"
    for path in mounted(sections):
        yield f"--volume={path}:{path}:ro"


if __name__ == "__main__":
    for option in write(Path(sys.argv[1]), configured()):
        print(option)
