"""A sandbox behind HTTP: a SandboxFusion server, or any other that answers its `POST /run_code`.

The server isolates. This side sends programs and inputs, never what is expected, and runs nothing
itself: where the server fails, the outcome is `INFRASTRUCTURE`.
"""

import json
import secrets
from dataclasses import asdict
from importlib.resources import files
from typing import Literal, Self

import httpx
import pydantic
import tenacity

from trainer.feedback.sandbox.supervise import CLAIMS
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Status
from trainer.pipeline.stage import StageError

DEFAULT_WORKERS = 16
# What bubblewrap's sandbox leaves to a time limit, a server must leave to its network and queue.
_QUEUE_SECONDS = 300.0
# SandboxFusion keeps so much of standard output and drops the rest without a word.
_SERVER_OUTPUT_BYTES = 1 << 20
_SIGXCPU = 24


class CommandResult(pydantic.BaseModel):
    """How a command ended on the server, in SandboxFusion's words."""

    status: Literal["Finished", "Error", "TimeLimitExceeded"]
    execution_time: float | None = None
    return_code: int | None = None
    stdout: str | None = None
    stderr: str | None = None


class RunCodeAnswer(pydantic.BaseModel):
    """The answer of `POST /run_code`."""

    status: Literal["Success", "Failed", "SandboxError"]
    message: str = ""
    compile_result: CommandResult | None = None
    run_result: CommandResult | None = None


class ServerFault(Exception):
    """The server failed, which tells nothing about the program."""


class SandboxFusion:
    """Runs programs on a SandboxFusion server.

    CPU time and memory are limited there by the driver that runs around each program, wall time by
    the server. `cpu_seconds` of a script is the wall time that the server measured.

    Args:
        url: the server's address; `/run_code` is added.
        workers: requests in flight at a time.
        max_attempts: tries of one run, with exponential backoff, after a lost connection, a
            time-out, a status other than 200, an answer of another shape or a `SandboxError`.
        max_backoff_seconds: longest pause between two tries.

    Raises:
        StageError: no server of this kind answers.
    """

    isolation = "sandbox_fusion"

    def __init__(
        self,
        url: str,
        workers: int = DEFAULT_WORKERS,
        max_attempts: int = 5,
        max_backoff_seconds: float = 10.0,
    ) -> None:
        self.workers = workers
        self._url = url.rstrip("/").removesuffix("/run_code") + "/run_code"
        # A transport of our own ignores the proxies that environment variables name.
        connections = httpx.Limits(max_connections=workers, max_keepalive_connections=workers)
        self._client = httpx.Client(transport=httpx.HTTPTransport(limits=connections))
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(ServerFault),
            stop=tenacity.stop_after_attempt(max_attempts),
            wait=tenacity.wait_random_exponential(multiplier=0.25, max=max_backoff_seconds),
            reraise=True,
        )
        package = files("trainer.feedback.sandbox")
        self._driver = package.joinpath("fusion_driver.py").read_text("utf-8")
        self._sources = {
            name: package.joinpath(f"{name}.py").read_text("utf-8") for name in ("values", "child")
        }
        (probe,) = self.run(Program("print(6 * 7)"), [Input()], Limits())
        if probe.status is not Status.OK or probe.stdout != "42\n":
            self.close()
            raise StageError(
                f"{self._url} does not run Python programs ({probe.status}: {probe.error}): "
                "start a SandboxFusion server there, or choose isolation=bubblewrap"
            )

    def run(self, program: Program, inputs: list[Input], limits: Limits) -> list[Outcome]:
        return [self._run_once(program, each, limits) for each in inputs]

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run_once(self, program: Program, given: Input, limits: Limits) -> Outcome:
        nonce = secrets.token_hex(16)
        task = {
            "nonce": nonce,
            "limits": asdict(limits),
            "program": asdict(program),
            "given": asdict(given),
        }
        # Literals in ASCII, which a server can write to a file in any encoding.
        call = f"main({self._sources!a}, {json.dumps(task)!r})\n"
        body = {
            "code": f"{self._driver}\n\n{call}",
            "language": "python",
            "stdin": given.stdin.encode("utf-8", "replace").decode(),
            "compile_timeout": limits.wall_seconds,
            "run_timeout": limits.wall_seconds,
            "memory_limit_MB": -(-limits.memory_bytes >> 20),
        }
        try:
            result = self._retrying(self._post, body, limits.wall_seconds + _QUEUE_SECONDS)
        except ServerFault as fault:
            return Outcome(Status.INFRASTRUCTURE, error=str(fault))
        is_script = not program.entry_point and not given.check
        return _outcome(result, nonce, limits, is_script=is_script)

    def _post(self, body: dict[str, object], timeout: float) -> CommandResult:
        """Ask once.

        Raises:
            ServerFault: there is no answer, or none that tells how the program ended.
        """
        try:
            response = self._client.post(self._url, json=body, timeout=timeout)
        except httpx.HTTPError as error:
            raise ServerFault(type(error).__name__) from error
        if response.status_code != httpx.codes.OK:
            raise ServerFault(f"HTTP status {response.status_code}")
        try:
            answer = RunCodeAnswer.model_validate_json(response.content)
        except pydantic.ValidationError as error:
            raise ServerFault("the answer has another shape than SandboxFusion's") from error
        result = answer.run_result
        # Messages of the server may quote the program, and are left out.
        if answer.status == "SandboxError" or result is None or result.status == "Error":
            raise ServerFault("SandboxError")
        return result


def _outcome(result: CommandResult, nonce: str, limits: Limits, *, is_script: bool) -> Outcome:
    """Read how a run ended: status first, output only where it ended well."""
    stdout, told, claim = (result.stdout or "").rpartition(f"{nonce} ")
    status, _, text = claim.partition(" ")
    if not told:
        stdout = claim
    printed = stdout.encode("utf-8", "replace")
    stdout = printed[: limits.output_bytes].decode("utf-8", "ignore")

    def ended(status: Status, error: str = "", value: str = "") -> Outcome:
        return Outcome(status, stdout, value, error, cpu_seconds=result.execution_time or 0.0)

    code = result.return_code
    whole = told and text.endswith("\n")
    dropped = not whole and len((result.stdout or "").encode("utf-8", "replace"))
    if len(printed) > limits.output_bytes or dropped >= _SERVER_OUTPUT_BYTES:
        return ended(Status.OUTPUT_LIMIT)
    if result.status == "TimeLimitExceeded" or code in (-_SIGXCPU, 128 + _SIGXCPU):
        return ended(Status.TIMEOUT)
    if whole and status in CLAIMS:
        if len(text) > limits.output_bytes:
            return ended(Status.OUTPUT_LIMIT)
        if status != Status.OK:
            return ended(Status(status), error=text[:200].strip())
        if not is_script:
            return ended(Status.OK, value=text[:-1])
    if is_script and code == 0 and not told:
        return ended(Status.OK)
    return ended(Status.EXCEPTION, f"it ended with exit code {code}")
