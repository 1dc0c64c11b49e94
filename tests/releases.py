"""Small complete releases, made where a test needs one."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from reward_model.network import RewardNetwork
from reward_model.release import release
from reward_model.release.calibration import Calibration
from reward_model.release.manifest import Criterion, EncodingFacts, Golden, Manifest
from reward_model.text.chat import Message
from reward_model.text.encoding import Encoder
from tests.checkpoints import TEMPLATE, make_checkpoint


def make_release(
    path: Path,
    *,
    golden_error: float = 0.0,
    criteria: Mapping[str, Criterion] | None = None,
    template: str = TEMPLATE,
) -> Path:
    """A verified release of a random checkpoint; `golden_error` is added to its golden scores."""
    with TemporaryDirectory() as folder, release.writing(path) as draft:
        checkpoint = make_checkpoint(Path(folder), template=template)
        shutil.copytree(checkpoint, draft, dirs_exist_ok=True)
        (draft / release.GOLDEN).write_text(_golden(checkpoint, golden_error))
        (draft / "report.json").write_text("{}")
        changes = {
            "criteria": dict(criteria or {}),
            "encoding": _encoding(template),
        }
        release.write_manifest(draft, _manifest(draft).model_copy(update=changes))
    return path


def rewrite_manifest(path: Path) -> None:
    """Hash the files again, as somebody would who meant a change to pass."""
    release.write_manifest(path, _manifest(path))


def _golden(checkpoint: Path, error: float) -> str:
    network = RewardNetwork.load(release.open_release(checkpoint), device="cpu")
    encoder = Encoder(network.tokenizer, max_tokens=network.max_tokens, pad_id=None)
    messages = (Message("user", "add"), Message("assistant", "def add(a, b)"))
    ((score,),) = network.score([encoder.encode(messages)])
    return Golden(messages=messages, score=score + error).model_dump_json() + "\n"


def _encoding(template: str) -> EncodingFacts:
    return EncodingFacts(
        chat_template_sha256=hashlib.sha256(template.encode()).hexdigest(),
        bos_token="<|bos|>",
        eos_token="<|eos|>",
        pad_token="<|pad|>",
        max_tokens=512,
    )


def _manifest(folder: Path) -> Manifest:
    return Manifest(
        name="test-rm",
        version="1",
        files={name: release.sha256(folder / name) for name in release.file_names(folder)},
        encoding=_encoding(TEMPLATE),
        dtype="float32",
        calibration=Calibration(mean=0.5, std=2.0, n=10, reference="test"),
        golden_tolerance=1e-4,
        training={},
    )
