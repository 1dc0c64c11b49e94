"""An engine that runs the model in processes of vLLM's own.

It serves tensor-parallel, quantized and very large models. It knows nothing of packing: vLLM
batches what is in flight and caches prefixes itself. vLLM is imported only when it is chosen, so
this module also loads where vLLM is not installed.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from itertools import count, islice
from typing import TYPE_CHECKING, TypeVar

from safetensors import safe_open
from transformers import PreTrainedTokenizerBase

from reward_model.packing import Sequence
from reward_model.positions import rope_depends_on_length
from reward_model.release.files import require_only, weight_files
from reward_model.release.release import Release, ReleaseError
from service.engines.engine import BatchingHints, EngineDead, EngineFacts, EngineUnavailable
from service.settings import Settings

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.engine.async_llm import AsyncLLM

T = TypeVar("T")

# vLLM reads these from the environment and nowhere else. Variables that the user set stay.
_ENVIRONMENT = {
    # A forked copy of a process that has threads may deadlock on their locks.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    # Its log lines go where ours go, and standard output stays ours.
    "VLLM_CONFIGURE_LOGGING": "0",
    "VLLM_NO_USAGE_STATS": "1",
}

# vLLM wants room for one token of each of the 256 sequences that it computes side by side.
_MIN_STEP_TOKENS = 256

# A step of this many tokens keeps a GPU busy.
_FULL_SPEED_TOKENS = 8192

# Without a limit, vLLM takes nearly all of a machine's memory for its KV cache on a CPU.
_CPU_KV_CACHE_GIB = 4.0

# Seconds between two looks at whether the thread that is waited for still lives.
_CHECK_SECONDS = 5.0

# vLLM's processes have this long to end by themselves; after that they are killed.
_SHUTDOWN_SECONDS = 10


class VllmEngine:
    """Implements `service.engines.engine.Engine` with vLLM, whose event loop has its own thread.

    Args:
        shares_cores: whether this build of vLLM computes on the CPU.
        labels: the number of scores that the checkpoint's head gives.
    """

    # vLLM tells that its processes ended when it is asked for a score.
    end_reason = None

    def __init__(self, config: "VllmConfig", *, shares_cores: bool, labels: int = 1) -> None:
        self.facts = EngineFacts(
            dtype=str(config.model_config.dtype).removeprefix("torch."),
            max_tokens=config.model_config.max_model_len,
            shares_prefixes=False,
            reads_steps=True,
            labels=labels,
            fallback_reason=(
                "vLLM keeps prefixes itself, in whole blocks, and its savings are not counted"
            ),
        )
        self.batching = BatchingHints(
            # One batch computes while others wait inside vLLM, which fills its next step from all
            # of them. With more in flight the engine is no busier, and requests that wait inside
            # vLLM have no priorities any more.
            batches_in_flight=4,
            full_speed_tokens=_FULL_SPEED_TOKENS,
            shares_cores=shares_cores,
            # vLLM takes its memory when it starts, and computes in several steps what does not fit.
            memory_limit_tokens=None,
        )
        self._vocabulary: int = config.model_config.get_vocab_size()
        self._names = count()
        self._requests: set[asyncio.Task[list[float]]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()

        async def start() -> "AsyncLLM":
            # On the event loop, to which vLLM ties itself when it is made.
            from vllm.v1.engine.async_llm import AsyncLLM

            return AsyncLLM.from_vllm_config(config, disable_log_stats=True)

        try:
            self._client = self._wait(start())
        except BaseException:
            self._end_loop()
            raise

    def warm_up(self) -> None:
        """Score one text, as proof that the kernels run here. vLLM warmed up when it started."""
        self.score([Sequence((0,), (0,))])

    def serve(self) -> None:
        """Change nothing: what was proven is what computes."""

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        if self._loop.is_closed():
            raise EngineDead("The engine is closed.")
        longest = max((len(sequence.ids) for sequence in batch), default=0)
        if longest > self.facts.max_tokens:
            raise ValueError(
                f"The text has {longest} tokens and the model takes {self.facts.max_tokens}."
            )
        return self._wait(self._score(batch))

    def close(self) -> None:
        async def await_cancelled() -> None:
            # vLLM has cancelled its own tasks on the loop, which must end before the loop does.
            if others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(others, timeout=1)

        self._wait(self._cancel_requests())
        self._client.shutdown(timeout=_SHUTDOWN_SECONDS)
        del self._client
        self._wait(await_cancelled())
        self._end_loop()

    async def _score(self, batch: list[Sequence]) -> list[list[float]]:
        # vLLM reads the last token, so a text is sent up to each token that is to be read.
        texts = [sequence.ids[: at + 1] for sequence in batch for at in sequence.read_at]
        requests = [asyncio.create_task(self._score_last(text)) for text in texts]
        self._requests.update(requests)
        try:
            rows = iter(await asyncio.gather(*requests))
        finally:
            # When one text fails, the others of its batch are not computed any further.
            for request in requests:
                request.cancel()
            self._requests.difference_update(requests)
        return [
            [score for row in islice(rows, len(sequence.read_at)) for score in row]
            for sequence in batch
        ]

    async def _score_last(self, ids: tuple[int, ...]) -> list[float]:
        from vllm import PoolingParams
        from vllm.inputs import tokens_input
        from vllm.v1.engine.exceptions import EngineDeadError

        # vLLM checks this with its tokenizer, which it has not got here. An unknown token would
        # end its process.
        if max(ids) >= self._vocabulary:
            raise ValueError(
                f"The text has the token {max(ids)}, and the model's vocabulary has "
                f"{self._vocabulary} tokens."
            )
        params = PoolingParams(task="classify", use_activation=False)
        name = str(next(self._names))
        try:
            async for output in self._client.encode(tokens_input(list(ids)), params, name):
                if output.finished and output.error is None:
                    scores: list[float] = output.outputs.data.flatten().tolist()
                    return scores
        except EngineDeadError as error:
            raise EngineDead(
                "The process of vLLM ended; the lines that it logged before say why."
            ) from error
        raise RuntimeError("vLLM ended a request without a score")

    async def _cancel_requests(self) -> None:
        tasks: list[asyncio.Task[list[float]] | asyncio.Task[None]] = list(self._requests)
        if self._client.output_handler:
            # Otherwise it would log the end of vLLM's processes as an error.
            tasks.append(self._client.output_handler)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wait(self, work: Coroutine[object, object, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while True:
            try:
                return future.result(_CHECK_SECONDS)
            except TimeoutError:
                if future.done():
                    raise
                # Whatever ended the loop's thread, nobody would ever answer.
                if not self._thread.is_alive():
                    raise EngineDead("The thread that talks to vLLM ended.") from None

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def load_vllm_engine(
    release: Release, tokenizer: PreTrainedTokenizerBase, settings: Settings
) -> VllmEngine:
    """Load a release into vLLM. It takes a minute, most of it until its processes have started.

    Raises:
        ReleaseError: the checkpoint has no score head.
        EngineUnavailable: the release is an adapter, vLLM is not installed, or it cannot do what
            the settings ask for.
    """
    require_score_head(release)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        from vllm import AsyncEngineArgs
        from vllm.config import PoolerConfig
        from vllm.platforms import current_platform
    except ImportError as error:
        raise EngineUnavailable(
            f"vLLM cannot be imported here ({error}). Run scripts/install-vllm and start with "
            "scripts/serve --engine vllm, or choose --engine torch."
        ) from error
    # A build of vLLM is for one kind of device.
    on_cpu = current_platform.is_cpu()
    device = "cpu" if on_cpu else "cuda"
    if settings.device not in ("auto", device):
        raise EngineUnavailable(
            f"This build of vLLM runs on {device}, and --device asks for {settings.device}. Choose "
            f"--device {device}, or install the other build with scripts/install-vllm."
        )
    max_tokens = min(release.max_tokens, tokenizer.model_max_length)
    step = settings.max_batch_tokens or _FULL_SPEED_TOKENS
    kv_cache_gib = settings.kv_cache_gib or (_CPU_KV_CACHE_GIB if on_cpu else None)
    dtype = "float32" if on_cpu else release.dtype
    try:
        config = AsyncEngineArgs(
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
            max_num_batched_tokens=max(step, max_tokens, _MIN_STEP_TOKENS),
            enable_prefix_caching=True,
            tensor_parallel_size=settings.tensor_parallel,
            kv_cache_memory_bytes=int(kv_cache_gib * 2**30) if kv_cache_gib else None,
            # Compiling pays on a GPU; on a CPU it takes a compiler, and a minute of every start.
            enforce_eager=on_cpu,
        ).create_engine_config()
    except ValueError as error:
        raise EngineUnavailable(
            f"vLLM refuses this model or these settings: {error}. Change them, or choose --engine "
            "torch."
        ) from error
    require_exact_scores(release, config)
    return VllmEngine(config, shares_cores=on_cpu, labels=release.labels)


def require_score_head(release: Release) -> None:
    """Refuse weights without a score head: with quantized weights vLLM would make up a random one.

    Raises:
        EngineUnavailable: the release is an adapter, which vLLM would leave out.
        ReleaseError: the weights hold no head.
    """
    if release.adapter:
        raise EngineUnavailable(
            f"vLLM would score the base of {release.adapter} alone. Save the adapter merged "
            "(merge_and_unload), or choose --engine torch."
        )
    files = weight_files(release.path)
    # vLLM reads every file that no index leaves out, transformers only those that it names.
    require_only(files, release.path)
    for file in files:
        with safe_open(file, framework="numpy") as weights:
            if "score.weight" in weights.keys():  # noqa: SIM118 - it is no dictionary
                return
    raise ReleaseError(
        f"{release.path}: the weights hold no score.weight, the head that vLLM reads; serve a "
        "causal checkpoint that was trained with its score head, or choose --engine torch"
    )


def require_exact_scores(release: Release, config: "VllmConfig") -> None:
    """Refuse models for which vLLM would give other scores than transformers."""
    found = config.model_config
    # A text is cut after the token that is read, which changes nothing only in causal attention.
    if found.attn_type != "decoder":
        raise EngineUnavailable(
            f"vLLM cannot score {release.path} exactly: its attention is {found.attn_type}, and a "
            "token is read exactly only where attention is causal. Choose --engine torch."
        )
    # vLLM uses one set of rotary frequencies, those of the longest text, for all texts.
    if rope_depends_on_length(getattr(found.hf_text_config, "rope_parameters", None)):
        raise EngineUnavailable(
            f"vLLM cannot score {release.path} exactly: its rotary frequencies depend on a text's "
            "length, and vLLM takes those of the longest text for all. Choose --engine torch."
        )
