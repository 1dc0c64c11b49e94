"""Opens the engine that the settings name, which is the only choice between engines."""

from typing import TYPE_CHECKING

from reward_model.release.release import Release
from service.engines.engine import Engine
from service.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def open_engine(
    release: Release, tokenizer: "PreTrainedTokenizerBase", settings: Settings
) -> Engine:
    """Load a release into an engine. This is slow; call it on the engine's thread.

    Raises:
        ReleaseError: the checkpoint cannot be loaded.
        EngineUnavailable: this machine or this engine cannot do what the settings ask for.
    """
    # Each engine is imported only when it is chosen: torch and vLLM take seconds to import.
    match settings.engine:
        case "torch" if settings.engine_processes > 1:
            from service.engines.process_engine import load_process_engine

            return load_process_engine(release, settings)
        case "torch":
            from service.engines.torch_engine import load_torch_engine

            return load_torch_engine(release, tokenizer, settings)
        case "vllm":
            from service.engines.vllm_engine import load_vllm_engine

            return load_vllm_engine(release, tokenizer, settings)
