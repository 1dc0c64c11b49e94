"""The process that tries a model: `python -m service.models.trial_process`, started by `trial`.

It reads settings as JSON from standard input and reports on standard output, one JSON object a
line: each step before it begins, and at the end whether the model can be served.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from reward_model.packing import Sequence
from reward_model.release.hub import locate
from reward_model.text.chat import NO_INPUTS, Conversation, Message, Unencodable
from reward_model.text.encoding import TooLong
from service.engines.open import open_engine
from service.models.failures import explain_failure
from service.scoring.model import open_as_set, served_name
from service.settings import Settings

GIB = 1024**3

# Memory that the trial may take beside the weights. Tokenizers of large vocabularies take a
# gigabyte; whatever the machine has, the serving process must keep most of it.
_ROOM_BYTES = 2 * GIB
_SHARE_OF_FREE = 0.7

# Larger weights are not tried, because the trial would take as long as loading them once more.
_MAX_WEIGHTS_BYTES = 4 * GIB

# Seconds for a gigabyte of weights, beside those that every step has.
_SECONDS_PER_GIB = 30

# Golden texts that are encoded; replaying them all is the serving process's part.
_MAX_TEXTS = 256

_SAMPLES: tuple[Conversation, ...] = (
    (Message("user", "Add two numbers."), Message("assistant", "def add(a, b):\n    return a + b")),
    (
        Message("system", "Be brief."),
        Message("user", "¿Qué es 2 + 2? 你好 🙂\t\r\n"),
        Message("assistant", "4 <|end|> </s> [INST]"),
    ),
)

Step = Callable[[str, float], None]
"""Called before each step with what it does and how many seconds it may take."""


def try_model(settings: Settings, step: Step) -> None:
    """Do once what serving the model would do with its files, and raise what that raises.

    The weights are loaded on the CPU, if they are small enough; a GPU is never touched.
    """
    seconds = settings.trial_seconds
    # Imported before the limit on memory is known: what it takes is no part of the model's room.
    from reward_model.release.checkpoint import load_tokenizer
    from reward_model.release.encoder import make_encoder
    from service.engines.memory import free_bytes_on_cpu, read_kilobytes

    def limit_memory(more: int) -> None:
        """Let the process take this many bytes more than it has; what exceeds them fails in it."""
        held = read_kilobytes(Path("/proc/self/status"), "VmData")
        if held is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (held + more, hard))

    free = free_bytes_on_cpu()
    room = _ROOM_BYTES if free is None else int(min(_ROOM_BYTES, _SHARE_OF_FREE * free))
    limit_memory(room)
    # Downloads have the time of a whole load.
    download_seconds = max(seconds, 10 * settings.engine_timeout_seconds)
    step("finding it", download_seconds)
    path = locate(settings.model)
    reading_seconds = seconds + _SECONDS_PER_GIB * _weights_bytes(path) / GIB
    # The base of an adapter may have to be downloaded.
    is_adapter = (path / "adapter_config.json").exists()
    step("reading its files", download_seconds if is_adapter else reading_seconds)
    release = open_as_set(path, settings)
    served_name(settings, release)
    step("loading its tokenizer and its chat template", seconds)
    tokenizer = load_tokenizer(release)
    encoder, _ = make_encoder(release, tokenizer, release.max_tokens)
    step("encoding texts", seconds)
    sequences = []
    golden = [(each.messages, each.inputs) for each in release.golden[:_MAX_TEXTS]]
    for conversation, inputs in (*((sample, NO_INPUTS) for sample in _SAMPLES), *golden):
        try:
            sequences.append(encoder.encode(conversation, inputs=inputs))
        except (Unencodable, TooLong):
            continue  # The golden replay tells which of them must be encodable.
    size = sum(_weights_bytes(folder) for folder in (release.path, release.adapter) if folder)
    computed = size * (1 if release.dtype == "float32" else 2)
    fits = size <= _MAX_WEIGHTS_BYTES and (free is None or 2 * computed <= free)
    # Quantized weights may need a GPU; vLLM loads its models in processes of its own.
    config = json.loads((release.config_folder / "config.json").read_bytes())
    if settings.engine != "torch" or not fits or "quantization_config" in config:
        return
    limit_memory(room + 4 * size)
    step("loading its weights and scoring a text", seconds + _SECONDS_PER_GIB * size / GIB)
    alone = {"device": "cpu", "cpu_threads": 1, "engine_processes": 1}
    on_cpu = settings.model_copy(update=alone)
    engine = open_engine(release, tokenizer, on_cpu)
    # A template may refuse every text above; any model takes the token 0.
    engine.score(sequences[:1] or [Sequence((0,), (0,))])


def _weights_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def main() -> None:
    # Libraries print to standard output, too, so the report keeps that pipe to itself.
    report = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if sys.platform == "linux":
        # It must not outlive a server that is killed, and memory that runs out must cost it alone.
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        with suppress(OSError):  # where /proc is read-only
            Path("/proc/self/oom_score_adj").write_text("1000")

    current = "starting"

    def step(name: str, seconds: float) -> None:
        nonlocal current
        current = name
        print(json.dumps({"step": name, "seconds": seconds}), file=report)

    try:
        try_model(Settings.model_validate_json(sys.stdin.buffer.read()), step)
        outcome: dict[str, str | bool] = {"served": True}
    except MemoryError:
        reason = f"{current} took more memory than a model may take here beside its weights"
        outcome = {"served": False, "reason": reason}
    except BaseException as error:  # noqa: BLE001 - panics and exits of libraries, too
        outcome = {"served": False, "reason": explain_failure(error)}
    print(json.dumps(outcome), file=report)
    # Without the interpreter's own end, for which a library's threads may be waited for.
    report.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
