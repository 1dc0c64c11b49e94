"""Name, license and revision of the model that training starts from, where its files say so."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import metadata_load

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
# A name comes from files of somebody else, and goes into the card of a release.
_MAX_LENGTH = 100


@dataclass(frozen=True)
class Origin:
    """A base model as a card names it; empty texts where its files do not say."""

    name: str
    license: str
    revision: str


def origin_of(start: str, folder: Path) -> Origin:
    """Read name, license and revision of a base.

    The name is its id on the hub if that is known, otherwise the title of its README, otherwise
    the last part of its path: the whole path may hold a user's name.

    Args:
        start: the base as the config names it.
        folder: where it lies; the hub's cache has id and commit in its path.
    """
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    title = re.search(r"^# +(.+)$", text, re.MULTILINE)
    metadata = metadata_load(readme) if text.startswith("---") else None
    facts = metadata if isinstance(metadata, dict) else {}
    license_ = facts.get("license")
    if license_ == "other":
        license_ = facts.get("license_name") or license_

    cached = re.search(r"models--([^/]+)--([^/]+)/snapshots/([0-9a-f]+)$", folder.as_posix())
    # Files that were downloaded into a folder of their own have their commit beside them.
    downloaded = folder / ".cache" / "huggingface" / "download" / "config.json.metadata"
    revision = cached[3] if cached else ""
    if not revision and downloaded.is_file():
        revision = downloaded.read_text().partition("\n")[0].strip()

    config = json.loads((folder / "config.json").read_bytes())
    stated = str(config.get("_name_or_path") or "")
    if cached:
        name = f"{cached[1]}/{cached[2]}"
    elif not Path(start).expanduser().exists() and _HUB_ID.fullmatch(start):
        name = start
    elif _HUB_ID.fullmatch(stated) and not Path(stated).exists():
        name = stated
    else:
        name = title[1] if title else folder.resolve().name
    # A card has each of them in a code span of Markdown, which a backtick would end.
    texts = (str(text or "").replace("`", "") for text in (name, license_, revision))
    return Origin(*(text.strip()[:_MAX_LENGTH] for text in texts))
