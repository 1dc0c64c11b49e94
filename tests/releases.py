"""Small complete releases, made where a test needs one."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from reward_model.network import RewardNetwork
from reward_model.release import lora, release
from reward_model.release.base import digest
from reward_model.release.calibration import Calibration
from reward_model.release.manifest import AdapterBase, Criterion, EncodingFacts, Golden, Manifest
from reward_model.text.chat import Message
from reward_model.text.encoding import Encoder
from tests.checkpoints import TEMPLATE, make_checkpoint
from tests.reward_model.release.adapters import change, make_adapter, make_base


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
    return _golden_of(network, error)


def _golden_of(network: RewardNetwork, error: float) -> str:
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


def adapter_release(folder: Path, *, golden_error: float = 0.0) -> Path:
    """A release that is a random adapter, with its base beside it at `folder / "base"`."""
    base = make_base(folder)
    adapter = make_adapter(folder, base, saved=["score"])
    change(adapter, base_model_name_or_path="../base")
    # The config of the merged model, and the tokenizer, are the release's own.
    make_checkpoint(folder / "whole", "llama")
    for file in (folder / "whole").iterdir():
        if not file.name.endswith(".safetensors"):
            shutil.copy(file, adapter)
    (adapter / "README.md").unlink(missing_ok=True)
    network = RewardNetwork.load(lora.open_checkpoint(adapter), device="cpu")
    (adapter / release.GOLDEN).write_text(_golden_of(network, golden_error))
    (adapter / "report.json").write_text("{}")
    named = AdapterBase(name="base", weights_sha256=digest(base), source="the test that made it")
    release.write_manifest(adapter, _manifest(adapter).model_copy(update={"base": named}))
    return adapter
