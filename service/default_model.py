"""Prints the release that `scripts/serve` serves without --model; the base of it is fetched once.

Where the base cannot be had, as on a machine that is offline, one sentence on standard error says
so, and the release that needs no base is served.
"""

import sys
from pathlib import Path

from reward_model.release.base import DEFAULT_BASES
from reward_model.release.files import ReleaseError
from reward_model.release.packaged_base import PACKAGED, fetch_base
from reward_model.release.release import MANIFEST, read_manifest
from service.settings import DEFAULT_MODEL

# Served where it is there; else, and where its base cannot be had, DEFAULT_MODEL.
PREFERRED = DEFAULT_MODEL.with_name("smollm2-code-rm")


def default_model(bases: Path = DEFAULT_BASES, preferred: Path = PREFERRED) -> Path:
    """Return the directory of the default release, with its base in `bases` if it needs one."""
    if not (preferred / MANIFEST).is_file():
        return DEFAULT_MODEL
    try:
        base = read_manifest(preferred).base
        if base and base.name in PACKAGED and not (bases / base.name / "config.json").is_file():
            sys.stderr.write(f"{base.name} is fetched once, as the base of {preferred.name}\n")
            fetch_base(base.name, PACKAGED[base.name], bases)
    except (ReleaseError, OSError) as error:
        sys.stderr.write(
            f"{preferred.name} cannot be served, so {DEFAULT_MODEL.name} is, a weaker model that "
            f"needs no base: {error}\n"
        )
        return DEFAULT_MODEL
    return preferred


if __name__ == "__main__":
    sys.stdout.write(f"{default_model()}\n")
