"""Which sandbox runs the programs."""

from dataclasses import dataclass
from typing import Literal

from trainer.feedback.sandbox.bubblewrap import BubblewrapSandbox
from trainer.feedback.sandbox.sandbox_fusion import DEFAULT_WORKERS, SandboxFusion
from trainer.feedback.sandbox.types import Sandbox
from trainer.feedback.sandbox.unconfined import UnconfinedSandbox
from trainer.pipeline.stage import StageError, bookkeeping


@dataclass(frozen=True)
class SandboxConfig:
    """The sandbox to use, and its number of workers.

    Attributes:
        isolation: the walls. `none` runs programs with all rights of this process; it is never
            chosen by itself, and every manifest says so.
        workers: runs at a time; 0 for one on each core that this process may use, and for 16
            requests in flight with `sandbox_fusion`.
        url: address of the server, for `sandbox_fusion`.
    """

    isolation: Literal["bubblewrap", "sandbox_fusion", "none"] = "bubblewrap"
    workers: int = bookkeeping(0)
    url: str = bookkeeping("")

    def __post_init__(self) -> None:
        """Raise StageError for a number of workers that would wait forever."""
        if self.workers < 0:
            raise StageError(f"workers is {self.workers}: it must be 0 or more")


def open_sandbox(config: SandboxConfig) -> Sandbox:
    """Open the sandbox that is asked for; it is never replaced by a weaker one.

    Raises:
        StageError: its walls cannot be built here.
    """
    match config.isolation:
        case "bubblewrap":
            return BubblewrapSandbox(config.workers)
        case "none":
            return UnconfinedSandbox(config.workers)
        case "sandbox_fusion":
            if not config.url:
                raise StageError("isolation=sandbox_fusion needs the server's address: set url")
            return SandboxFusion(config.url, config.workers or DEFAULT_WORKERS)
