"""The model in processes of vLLM's own: tensor parallelism, quantised weights, very large models.

Knows nothing of packing: vLLM batches what is in flight and keeps computed prefixes itself. It is
imported when it is chosen and not before, so this module also loads where vLLM is not installed.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from safetensors import safe_open

from reward_model.packing import Sequence
from reward_model.release.release import Release, ReleaseError
from service.engines import EngineDead, EngineUnavailable
from service.settings import Settings

if TYPE_CHECKING:
    from vllm import AsyncEngineArgs
    from vllm.config import VllmConfig
    from vllm.v1.engine.async_llm import AsyncLLM

T = TypeVar("T")

_ENVIRONMENT = {
    # A forked copy of a process that has threads may deadlock on their locks.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    # Its lines go where ours go, and standard output stays ours.
    "VLLM_CONFIGURE_LOGGING": "0",
    "VLLM_NO_USAGE_STATS": "1",
}
"""What vLLM reads there and nowhere else; whoever set a variable knows better."""

_FEWEST_STEP_TOKENS = 256
"""vLLM wants room for a token of each of the 256 texts that it computes side by side."""

_ENOUGH_TOKENS = 8192
"""Of one step; keeps a GPU busy."""

_CPU_KV_CACHE_GIB = 4.0
"""vLLM's own choice is nearly all of the machine's memory."""

_LENGTH_DEPENDENT = frozenset({"dynamic", "longrope"})
"""Kinds of rotary embedding whose frequencies transformers chooses by a text's length."""

_SHUTDOWN_SECONDS = 10
"""That vLLM's processes have to end by themselves; after that they are killed."""


class VllmEngine:
    """`service.engines.Engine` over vLLM, whose event loop runs on a thread of its own."""

    # One batch computes while others wait inside vLLM, which fills its next step from all of them.
    # With more the engine is no busier, and what waits inside has no priorities any more.
    batches_in_flight = 4
    shares_prefixes = False
    reads_steps = True
    # It takes its memory when it starts, and computes what does not fit in several steps.
    enough_tokens = _ENOUGH_TOKENS
    most_tokens: int | None = None
    fallback_reason: str | None = (
        "vLLM keeps prefixes itself, in whole blocks, and its savings are not counted"
    )

    def __init__(self, config: "VllmConfig") -> None:
        self.max_tokens: int = config.model_config.max_model_len
        self.dtype = str(config.model_config.dtype).removeprefix("torch.")
        self._vocabulary: int = config.model_config.get_vocab_size()
        self._names = count()
        self._requests: set[asyncio.Task[float]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        try:
            self._client = self._wait(_start(config))
        except BaseException:
            self._end_loop()
            raise

    def warm_up(self) -> None:
        """One text, as proof that its kernels run here: vLLM warmed up when it started."""
        self.score([Sequence((0,), (0,))])

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        return self._wait(self._score(batch))

    def close(self) -> None:
        self._wait(self._leave_requests())
        self._client.shutdown(timeout=_SHUTDOWN_SECONDS)
        del self._client
        self._wait(_settle())
        self._end_loop()

    async def _score(self, batch: list[Sequence]) -> list[list[float]]:
        """When one text fails the others of its batch are not computed any further."""
        texts = [sequence.ids[: at + 1] for sequence in batch for at in sequence.read_at]
        requests = [asyncio.create_task(self._score_last(text)) for text in texts]
        self._requests.update(requests)
        try:
            scores = iter(await asyncio.gather(*requests))
        finally:
            for request in requests:
                request.cancel()
            self._requests.difference_update(requests)
        return [[next(scores) for _ in sequence.read_at] for sequence in batch]

    async def _score_last(self, ids: tuple[int, ...]) -> float:
        """vLLM reads the last token, so a text is sent up to the token that is to be read."""
        from vllm import PoolingParams
        from vllm.inputs import tokens_input
        from vllm.v1.engine.exceptions import EngineDeadError

        # vLLM checks this by a tokenizer, which it has not got, and its process would not survive.
        if max(ids) >= self._vocabulary:
            raise ValueError(f"token {max(ids)} is none of the model's {self._vocabulary}")
        params = PoolingParams(task="classify", use_activation=False)
        name = str(next(self._names))
        try:
            async for output in self._client.encode(tokens_input(list(ids)), params, name):
                if output.finished and output.error is None:
                    return float(output.outputs.data)
        except EngineDeadError as error:
            raise EngineDead("vLLM's process ended; what it logged before says why") from error
        raise RuntimeError("vLLM ended a request without a score")

    async def _leave_requests(self) -> None:
        """Whoever still waits for a batch is told that it is cancelled."""
        tasks: list[asyncio.Task[float] | asyncio.Task[None]] = list(self._requests)
        if self._client.output_handler:
            # Otherwise it would log the end of vLLM's processes as an error.
            tasks.append(self._client.output_handler)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wait(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _settle() -> None:
    """Let vLLM's own tasks on the loop, which it has cancelled, come to their end."""
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others, timeout=1)


async def _start(config: "VllmConfig") -> "AsyncLLM":
    """On the event loop, to which vLLM ties itself when it is made."""
    from vllm.v1.engine.async_llm import AsyncLLM

    return AsyncLLM.from_vllm_config(config, disable_log_stats=True)


def load_vllm_engine(release: Release, settings: Settings, *, max_tokens: int) -> VllmEngine:
    """Load a release into vLLM; takes a minute, most of it for its processes to start.

    Raises:
        ReleaseError: the checkpoint has no score head.
        EngineUnavailable: vLLM is not installed, or does not do what is asked for.
    """
    _require_merged(release)
    _require_head(release)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import vllm  # noqa: F401 - all that is imported from it later is there when it is
    except ImportError as error:
        raise EngineUnavailable(
            f"with vLLM, which cannot be imported here ({error}). Run scripts/install-vllm and "
            "start with scripts/serve --engine vllm, or choose --engine torch"
        ) from error
    try:
        config = _arguments(release, settings, max_tokens).create_engine_config()
    except ValueError as error:
        raise EngineUnavailable(
            f"with vLLM: {error}. Change that, or choose --engine torch"
        ) from error
    _require_causal(release, config)
    return VllmEngine(config)


def _require_merged(release: Release) -> None:
    if release.adapter:
        raise EngineUnavailable(
            f"{release.adapter} with vLLM, which would score its base alone. Save it merged "
            "(merge_and_unload), or choose --engine torch"
        )


def _arguments(release: Release, settings: Settings, max_tokens: int) -> "AsyncEngineArgs":
    from vllm import AsyncEngineArgs
    from vllm.config import PoolerConfig

    on_cpu = _on_cpu(settings.device)
    kv_cache_gib = settings.kv_cache_gib or (_CPU_KV_CACHE_GIB if on_cpu else None)
    dtype = "float32" if on_cpu else release.dtype
    step = settings.max_batch_tokens or _ENOUGH_TOKENS
    return AsyncEngineArgs(
        model=str(release.path),
        runner="pooling",
        convert="classify",
        pooler_config=PoolerConfig(seq_pooling_type="LAST", use_activation=False),
        hf_overrides={"head_dtype": "float32"},
        dtype=dtype if settings.dtype == "auto" else settings.dtype,
        load_format="safetensors",
        trust_remote_code=False,
        skip_tokenizer_init=True,
        max_model_len=max_tokens,
        max_num_batched_tokens=max(step, max_tokens, _FEWEST_STEP_TOKENS),
        enable_prefix_caching=True,
        tensor_parallel_size=settings.tensor_parallel,
        kv_cache_memory_bytes=int(kv_cache_gib * 2**30) if kv_cache_gib else None,
        # Compiling pays on a GPU; on a CPU it takes a compiler, and a minute of every start.
        enforce_eager=on_cpu,
    )


def _on_cpu(device: str) -> bool:
    """A build of vLLM is for one kind of device.

    Raises:
        EngineUnavailable: not for the kind that is asked for.
    """
    from vllm.platforms import current_platform

    found = "cpu" if current_platform.is_cpu() else "cuda"
    if device not in ("auto", found):
        raise EngineUnavailable(
            f"on {device} with vLLM: this build of it runs on {found}. Choose --device {found}, or "
            "install the other build: scripts/install-vllm"
        )
    return found == "cpu"


def _require_head(release: Release) -> None:
    """vLLM would take a random head for a missing one where weights are quantised."""
    for file in release.path.glob("*.safetensors"):
        with safe_open(file, framework="numpy") as weights:
            if "score.weight" in weights.keys():  # noqa: SIM118 - it is no dictionary
                return
    raise ReleaseError(
        f"{release.path}: the weights hold no score.weight, the head that vLLM reads; serve a "
        "causal checkpoint that was trained with its score head, or choose --engine torch"
    )


def _require_causal(release: Release, config: "VllmConfig") -> None:
    """A text is cut after the token that is read, and vLLM's rotary frequencies are fixed."""
    found = config.model_config
    if found.attn_type != "decoder":
        raise EngineUnavailable(
            f"{release.path} with vLLM: its attention is {found.attn_type}, and a token is read "
            "exactly only where attention is causal. Choose --engine torch"
        )
    if _rope_kinds(getattr(found.hf_text_config, "rope_parameters", None)) & _LENGTH_DEPENDENT:
        raise EngineUnavailable(
            f"{release.path} with vLLM: its rotary frequencies depend on a text's length, and vLLM "
            "takes those of the longest for all. Choose --engine torch"
        )


def _rope_kinds(rope: object) -> set[object]:
    """Of all layers; the entries may be nested by layer type."""
    if not isinstance(rope, dict):
        return set()
    return {rope.get("rope_type")}.union(*map(_rope_kinds, rope.values()))
