"""A base names itself: in its README, in its config, or by where the hub put it."""

import json
from pathlib import Path

from trainer.training.weights.origin import Origin, origin_of

COMMIT = "12fd25f77366fa6b3b4b768ec3050bf629380bac"


def base(folder: Path, readme: str = "", **config: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    if readme:
        (folder / "README.md").write_text(readme)
    return folder


def test_a_readme_has_title_and_license(tmp_path: Path) -> None:
    folder = base(tmp_path / "mine", "---\nlicense: apache-2.0\n---\n\n# SmolLM2 `135M`\n")
    assert origin_of(str(folder), folder) == Origin("SmolLM2 135M", "apache-2.0", "")


def test_the_hubs_cache_has_id_and_commit_in_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "models--owner--name" / "snapshots" / COMMIT
    base(folder, "---\nlicense: other\nlicense_name: llama3\n---\n# Another title\n")
    assert origin_of("owner/name", folder) == Origin("owner/name", "llama3", COMMIT)


def test_a_download_into_a_folder_keeps_its_commit(tmp_path: Path) -> None:
    folder = base(tmp_path / "local", _name_or_path="owner/name")
    noted = folder / ".cache" / "huggingface" / "download" / "config.json.metadata"
    noted.parent.mkdir(parents=True)
    noted.write_text(f"{COMMIT}\nabc\n1700000000.0\n")
    assert origin_of(str(folder), folder) == Origin("owner/name", "", COMMIT)


def test_a_path_is_shown_by_its_last_part(tmp_path: Path) -> None:
    folder = base(tmp_path / "mine", _name_or_path="/home/me/secret")
    assert origin_of(str(folder), folder) == Origin("mine", "", "")
