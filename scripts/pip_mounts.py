"""What a build needs to install as this machine's pip does, one `podman build` option a line.

Its configuration files, the certificates that it names and the local folders where it looks.
"""

import configparser
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse


def options() -> Iterator[str]:
    """`--volume` for every path that exists, read-only; `--env` for every setting of pip's."""
    files = [Path(file) for file in _configuration_files()]
    values = [value for file in files for value in _values(file)]
    values += [value for name, value in os.environ.items() if name.startswith("PIP_")]
    for path in sorted({*files, *_paths(values), *_certificates()}):
        yield f"--volume={path}:{path}:ro"
    for name, value in sorted(os.environ.items()):
        if name.startswith("PIP_") or name == "SSL_CERT_FILE":
            yield f"--env={name}={value}"


def _configuration_files() -> Iterator[str]:
    command = [sys.executable, "-m", "pip", "config", "debug"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        file, found, exists = line.strip().rpartition(", exists: ")
        if found and exists == "True":
            yield file


def _values(file: Path) -> Iterator[str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(file)
    for section in parser.sections():
        yield from parser[section].values()


def _paths(values: list[str]) -> Iterator[Path]:
    """Local ones among the words of settings; of an index, its parent, where the files lie."""
    for word in (word for value in values for word in value.split()):
        url = urlparse(word)
        path = Path(url.path)
        if url.scheme in ("", "file") and path.is_absolute() and path.exists():
            yield path.parent if url.scheme == "file" else path


def _certificates() -> Iterator[Path]:
    bundle = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    if bundle.is_file():
        yield bundle


if __name__ == "__main__":
    for option in options():
        print(option)  # nothing at all where there is none: an empty line would be an argument
