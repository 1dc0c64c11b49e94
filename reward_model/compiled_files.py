"""Finds what `scripts/build-kernels` compiled from the C sources as they are now."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path


def compiled_files(source: Path, others: Iterable[Path], variants: Iterable[str]) -> list[Path]:
    """Libraries that were compiled from these very sources, in the order of `variants`.

    Args:
        source: the C file after which libraries are named.
        others: all files that it includes.
        variants: names of kinds of processors, as the script gives them.
    """
    # The name carries a hash of the sources: a stale library is never loaded.
    sources = sorted({source, *others}, key=lambda path: path.name)
    version = sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    libraries = (source.with_suffix(f".{variant}.{version}.so") for variant in variants)
    return [library for library in libraries if library.exists()]
