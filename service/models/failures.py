"""Why a model could not be loaded, in words that help whoever may load models."""

from reward_model.release.release import ReleaseError
from service.engines.engine import EngineUnavailable, OutOfMemory
from service.errors import ServiceError
from service.models.golden import GoldenMismatch

# The messages of these errors are written for operators.
_EXPLAINED = (ReleaseError, EngineUnavailable, GoldenMismatch, ServiceError)

# Characters of a library's message that are repeated; some quote whole files.
_MAX_MESSAGE = 300


def explain_failure(error: BaseException) -> str:
    """Return why loading failed, as sentences for the log and for the holder of the admin key.

    While a model is loaded nothing is scored but its own golden texts, so no message can quote a
    user's text. Paths are in there, so clients of the public port are told the type alone.
    """
    match error:
        case _ if isinstance(error, _EXPLAINED):
            return str(error)
        case MemoryError() | OutOfMemory():
            return (
                "memory has no room for it beside the models that are loaded: unload one first, "
                "or give the process more memory"
            )
        case OSError(strerror=str(reason), filename=str(file)):
            return f"{file}: {reason}; let the server's user read it, or copy the model again"
    message = " ".join(str(error).split())[:_MAX_MESSAGE]
    return (
        f"{type(error).__name__}: {message or 'without a message'}; this comes from a library, so "
        "the checkpoint is damaged or of a kind that it does not support (the server's log has "
        "the place)"
    )
