"""The program of an engine process, which `engine_process` starts: answers its requests in turn."""

import ctypes
import gc
import logging
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from queue import SimpleQueue

from service.engines.engine import Engine, EngineDead, OutOfMemory
from service.engines.engine_process import (
    EngineState,
    Failed,
    Load,
    Reply,
    Request,
    Rows,
    Score,
    WarmUp,
)
from service.logs import configure
from service.settings import Settings

_log = logging.getLogger(__name__)


class EngineChild:
    """Answers requests with an engine of this process."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._logged = ""

    def answer(self, request: Request) -> Reply:
        """Do what is asked; any failure is an answer, too."""
        try:
            match request:
                case Load(settings=settings, release=release):
                    if self._engine:
                        self._engine.close()
                    # Torch looks at the CPUs of the process when it is imported, so only now.
                    from reward_model.release.checkpoint import load_tokenizer
                    from service.engines.open import open_engine

                    chosen = Settings.model_validate_json(settings)
                    self._engine = open_engine(release, load_tokenizer(release), chosen)
                    gc.collect()
                    gc.freeze()
                case WarmUp():
                    self._loaded.warm_up()
                case Score(batch=batch):
                    return Rows(self._loaded.score(batch))
            return EngineState(self._loaded.facts, self._loaded.batching)
        except BaseException as error:  # noqa: BLE001 - a panic in Rust is no Exception
            self._log_once(error)
            return Failed(type(error).__name__, str(error))

    @property
    def _loaded(self) -> Engine:
        assert self._engine is not None, "load first"
        return self._engine

    def _log_once(self, error: BaseException) -> None:
        """Log where an error came from, which its answer does not tell.

        A batch that fails is tried again in parts, which fail at the same place.
        """
        last = error.__traceback__
        while last and last.tb_next:
            last = last.tb_next
        place = (
            f"{type(error).__name__} {last.tb_frame.f_code.co_filename}:{last.tb_lineno}"
            if last
            else ""
        )
        if not isinstance(error, OutOfMemory | EngineDead) and place != self._logged:
            self._logged = place
            _log.warning("a request to this engine process failed", exc_info=error)


def main() -> None:
    descriptor, number, level, cpus = sys.argv[1:]
    if cpus:
        # Before there is any other thread, and before there are weights, which the kernel then
        # places near these CPUs.
        os.sched_setaffinity(0, map(int, cpus.split(",")))
    # A terminal and some supervisors signal all processes at once. This one is needed until the
    # service has answered what it admitted, and ends when its connection does.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    if sys.platform == "linux":
        # Also where a kernel hangs and lets no other thread of Python run.
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    # Libraries print to standard output, which is the service's own.
    os.dup2(2, 1)
    configure(level)
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: _name_process(record, int(number)))
    connection = Connection(int(descriptor))
    requests: SimpleQueue[Request] = SimpleQueue()

    def receive() -> None:
        try:
            while True:
                requests.put(connection.recv())
        except (EOFError, OSError):
            # The service has ended, or closed this engine, and nobody waits for what is computed.
            os._exit(0)

    # On a thread of its own, so that the end is noticed while a batch is computed.
    threading.Thread(target=receive, name="requests", daemon=True).start()
    child = EngineChild()
    while True:
        reply = child.answer(requests.get())
        try:
            connection.send(reply)
        except OSError:
            os._exit(0)


def _name_process(record: logging.LogRecord, number: int) -> bool:
    record.__dict__["facts"] = {"engine_process": number, **record.__dict__.get("facts", {})}
    return True


if __name__ == "__main__":
    main()
