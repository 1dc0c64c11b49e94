"""All settings of the service; the only module that reads the environment."""

import math
import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    HttpUrl,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from reward_model.release.base import DEFAULT_BASES
from reward_model.release.manifest import MAX_WEIGHT
from reward_model.release.names import require_name
from service.files import read_small_text

# The upper limit of --max-candidates: parsing a larger request would hold up all others.
MAX_CANDIDATES = 16_384

DEFAULT_MODEL = Path(__file__).resolve().parent.parent / "releases" / "tiny-code-rm"


HostName = Annotated[str, Field(pattern=r"^(\*\.)?[A-Za-z0-9._-]+$|^\[[0-9A-Fa-f:.]+\]$")]

DialectName = Literal[
    "native",
    "vllm",
    "openai",
    "openrlhf",
    "slime",
    "llamafactory",
    "rerank",
    "tei",
    "oip",
]
DIALECT_NAMES: tuple[DialectName, ...] = get_args(DialectName)


def _split_names(value: object) -> object:
    """Split a list of names at commas and white space; leave any other value to pydantic."""
    return tuple(filter(None, value.replace(",", " ").split())) if isinstance(value, str) else value


def read_weights(text: str) -> dict[str, float]:
    """Read `name=weight` entries that commas separate; a name alone has the weight 1.

    Raises:
        ValueError: an entry has no name, a weight that is none, or the name of another one.
    """
    weights: dict[str, float] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        text_of_name, _, weight = entry.rpartition("=") if "=" in entry else (entry, "", "1")
        name = text_of_name.strip()
        if name in weights:
            raise ValueError("names one twice")
        try:
            weights[name] = float(weight)
        except ValueError:
            weights[name] = math.nan
        if not name or not abs(weights[name]) <= MAX_WEIGHT:
            raise ValueError(
                "has an entry that is no name=weight, such as correctness=1.0; weights are from "
                f"-{MAX_WEIGHT:g} to {MAX_WEIGHT:g}"
            )
    return weights


def _check_weights(text: str) -> str:
    read_weights(text)
    return text


class Settings(BaseSettings):
    """Scores candidate answers with a reward model, over HTTP.

    Every flag is also an environment variable: --max-batch-tokens is REWARD_MAX_BATCH_TOKENS.
    If both are set, the flag is used.
    """

    model_config = SettingsConfigDict(
        env_prefix="REWARD_",
        # Every module may hold the settings, and none can change them for another one.
        frozen=True,
        # An unknown flag is refused. For variables there is `unknown_variables`, which only warns,
        # because Kubernetes adds variables of its own for every Service in the namespace.
        extra="forbid",
        cli_prog_name="python -m service",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,  # --help shows an optional number as int, without null.
        # pydantic reserves names that begin with `model_`, and `model_name` is a setting here.
        protected_namespaces=(),
    )

    model: Annotated[
        str,
        Field(
            description="What to serve: a release directory, a Hugging Face "
            "sequence-classification checkpoint, or the hub id of one. "
            "If it cannot be read or verified, the process exits with 1 and says why."
        ),
    ] = str(DEFAULT_MODEL)
    bases: Annotated[
        Path,
        Field(
            description="Folder with the bases of releases that are adapters, each in a folder "
            "that has the base's name. If a release's base is neither here nor beside the release, "
            "the process exits with 1 and says where to get it."
        ),
    ] = DEFAULT_BASES
    also_serve: Annotated[
        tuple[str, ...],
        # pydantic-settings would parse the variable of a tuple as JSON.
        NoDecode,
        BeforeValidator(_split_names),
        Field(
            description="More models to serve beside --model, separated by commas. Each is named "
            "as for --model and gets an engine and memory of its own; requests choose "
            "one by its name. If one cannot be served, the process exits with 1."
        ),
    ] = ()
    admin_port: Annotated[
        int | None,
        Field(
            ge=0,
            le=65535,
            description="TCP port on --host for the interface that loads, swaps and unloads models "
            "while the service runs (docs/models.md); 0 takes any free one, which the log names. "
            "If it is unset, there is no such interface.",
        ),
    ] = None
    admin_key_file: Annotated[
        Path | None,
        Field(
            description="File with the key that the admin interface asks for; --admin-port "
            "requires it. If the file cannot be read or is empty, the process exits "
            "with 2."
        ),
    ] = None
    trial_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=86_400,
            allow_inf_nan=False,
            description="Maximum time in seconds of each step in which the admin interface tries a "
            "model in a process of its own before it is loaded (docs/models.md). A model "
            "that takes longer is not loaded.",
        ),
    ] = 60
    model_name: Annotated[
        Annotated[str, AfterValidator(require_name)] | None,
        Field(
            description="Name of --model in requests and in /v1/models. A request that names a "
            "model that is not served is answered 404. If it is unset, the name is the "
            "release's own, or the hub id.",
        ),
    ] = None
    chat_template: Annotated[
        Path | None,
        Field(
            description="Jinja file that replaces the checkpoint's chat template, for checkpoints "
            "that have none. It is refused for a release, because the release's scores "
            "hold for its own template only."
        ),
    ] = None
    max_tokens: Annotated[
        int | None,
        Field(
            ge=1,
            description="Maximum number of tokens of a conversation with its answer, for --model. "
            "A longer one is an error of its candidate, or answered 422 where a dialect has "
            "none. If it is unset, the checkpoint's config and tokenizer say it. A bare "
            "checkpoint takes what is set here in place of that, up to the positions that "
            "it has; for a release it can only be lower.",
        ),
    ] = None
    criteria: Annotated[
        Annotated[str, AfterValidator(_check_weights)] | None,
        Field(
            description="What --model is asked to judge by where a request names no criteria: its "
            "criteria or labels with weights, as name=weight separated by commas, or names alone "
            "for a weight of 1 (docs/criteria.md). If it is unset, the release says it."
        ),
    ] = None
    # Only this machine by default, because without a key file any client that connects may score.
    host: Annotated[
        str,
        Field(
            description="Address to listen on. 0.0.0.0 is every IPv4 address of the machine, and "
            ":: every IPv6 and IPv4 address."
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="TCP port to listen on; 0 takes any free one.")
    ] = 8000
    dialects: Annotated[
        tuple[DialectName, ...],
        NoDecode,
        BeforeValidator(_split_names),
        Field(
            min_length=1,
            description="Dialects to serve, separated by commas. Each adds the routes that its "
            "clients use (docs/clients.md); the routes of the others are answered 404. "
            "If it is unset, all are served.",
        ),
    ] = DIALECT_NAMES
    playground: Annotated[
        bool,
        Field(
            description="Whether /playground is served, a page on which people try the models in "
            "a browser (docs/playground.md). The page itself needs no key; what it asks the server "
            "for does. If it is off, or the dialect native is, the path is answered 404."
        ),
    ] = True
    trusted_hosts: Annotated[
        tuple[HostName, ...],
        NoDecode,
        BeforeValidator(_split_names),
        Field(
            description="Host names that requests may use in their Host header, without port, "
            "separated by commas; *.example.com stands for every name below "
            "example.com. Other requests are answered 400, except probes and /metrics. "
            "If it is unset, any name is accepted."
        ),
    ] = ()
    api_keys_file: Annotated[
        Path | None,
        Field(
            description="File of API keys and their quotas, made with python -m service.keys "
            "(docs/security.md). Requests without one of these keys are answered 401, "
            "except probes, /metrics and the page of the playground. The file is read again "
            "when it changes; if it is then unusable, the previous keys stay valid. If it is "
            "unusable at the start, the process exits with 1. If it is unset, no key is needed."
        ),
    ] = None
    # verl, for one, retries every 5xx and gives up on every 4xx, 429 included.
    overload_status: Annotated[
        Literal["503", "429"],
        Field(
            description="Status code, sent with Retry-After, when the queue is full or the quota "
            "of a key is used up. RLHF clients retry 503 and give up on 429."
        ),
    ] = "503"
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Field(
            description="Device that the model runs on. auto takes a GPU if there is one, "
            "otherwise the CPU. If cuda is chosen and there is no GPU, the process "
            "exits with 1."
        ),
    ] = "auto"
    # On a CPU bfloat16 would move scores by about 1e-2, a hundred times what parity allows.
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Field(
            description="Number format of the backbone; the head and the scores are always "
            "float32. auto is float32 on a CPU and the checkpoint's own format on a "
            "GPU."
        ),
    ] = "auto"
    engine: Annotated[
        Literal["torch", "vllm"],
        Field(
            description="Engine that runs the model. torch uses one GPU or the CPU and computes a "
            "shared prefix once. vllm uses one or more GPUs and is for quantized and "
            "very large causal models; if it is not installed (scripts/install-vllm), "
            "the process exits with 1."
        ),
    ] = "torch"
    tensor_parallel: Annotated[
        int,
        Field(
            ge=1,
            description="Number of GPUs that share the layers of one model, for engine vllm. If "
            "the machine has fewer GPUs, the service never becomes ready, and the log "
            "says why.",
        ),
    ] = 1
    kv_cache_gib: Annotated[
        float | None,
        Field(
            gt=0,
            le=1_048_576,
            allow_inf_nan=False,
            description="Size in GiB of vLLM's KV cache, on each GPU or in the machine's memory. "
            "Texts for which it has no room wait; if it has no room for one text of "
            "the maximum length, the service never becomes ready. If it is unset, vLLM "
            "takes what the weights leave of a GPU's memory, and 4 GiB on a CPU.",
        ),
    ] = None
    cpu_threads: Annotated[
        int,
        Field(
            ge=0,
            description="Number of threads that compute one forward of the torch engine on a CPU, "
            "in each engine process; 0 leaves the choice to PyTorch, or with several engine "
            "processes takes the cores of each one's share.",
        ),
    ] = 0
    engine_processes: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="Number of processes that compute batches side by side with the torch "
            "engine on a CPU, each on its own share of the CPU cores and with its own copy of the "
            "model (docs/sizing.md). If one of them ends, the engine has failed. If there are "
            "fewer CPUs than processes, or there is a GPU, the process exits with 1.",
        ),
    ] = 1
    matrix_units: Annotated[
        bool,
        Field(
            description="Whether float32 products may run as three products of bfloat16 on the "
            "CPU's matrix unit (AMX), with the torch engine. A trial at load decides: they must be "
            "faster, and scores of a probe batch equal to those of the plain forward within 1e-4. "
            "If it is off, or the CPU has no such unit, they run on oneDNN's or torch's kernels."
        ),
    ] = True
    # Two is the least with which bulk work leaves a thread to interactive work.
    encode_threads: Annotated[
        int,
        Field(
            ge=1,
            description="Number of threads that turn texts into tokens; texts beyond that wait for "
            "a thread. With several engine processes and --cpu-threads 0, a core for each of them "
            "is left to encoding, but no more than one in 16 cores.",
        ),
    ] = 2
    max_batch_tokens: Annotated[
        int | None,
        Field(
            ge=1,
            description="Maximum number of tokens that one batch computes, where a shared prefix "
            "counts once. It is lower if the memory that is free after loading has "
            "room for fewer. Further texts wait for the next batch; a text longer than "
            "this runs alone. If it is unset, it is the smallest number that reaches "
            "full speed, 4096 on a CPU and 8192 otherwise, and up to twice that for "
            "candidates of one prompt.",
        ),
    ] = None
    # No wait by default: under load a batch gathers while the one before it is computed.
    max_wait_ms: Annotated[
        float,
        Field(
            ge=0,
            le=3_600_000,
            allow_inf_nan=False,
            description="Maximum time in milliseconds that the first text of a batch waits for "
            "more texts while the engine is idle. After that the batch runs, however "
            "small it is.",
        ),
    ] = 0
    # Tokens bound the time that waiting work takes, and items the overhead of many short texts.
    max_queue_tokens: Annotated[
        int,
        Field(
            ge=1,
            description="Maximum number of tokens that are admitted and not yet computed, for each "
            "priority separately. While it is reached, requests are answered 503 with "
            "Retry-After.",
        ),
    ] = 1_000_000
    max_queue_items: Annotated[
        int,
        Field(
            ge=1,
            description="Maximum number of candidates that are admitted and not yet scored, for "
            "each priority separately. While it is reached, requests are answered 503 "
            "with Retry-After.",
        ),
    ] = 16_384
    max_candidates: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_CANDIDATES,
            description="Maximum number of candidates in one request, over all its inputs. A "
            "request with more is answered 422.",
        ),
    ] = 1024
    max_body_bytes: Annotated[
        int,
        Field(
            ge=1,
            description="Maximum size in bytes of a request body. A larger one is answered 413.",
        ),
    ] = 16 * 1024 * 1024
    # Uploads that stall hold what they have sent, and many of them would fill the memory.
    max_bodies_bytes: Annotated[
        int,
        Field(
            ge=1,
            description="Maximum size in bytes of all request bodies together while they are read "
            "and parsed. While it is reached, requests are answered 503 with Retry-After. One body "
            "of --max-body-bytes always has room.",
        ),
    ] = 256 * 1024 * 1024
    # 16 MiB hold 87,000 scores.
    result_cache_bytes: Annotated[
        int,
        Field(
            ge=0,
            description="Size in bytes of the cache of scores, 192 bytes for each candidate. A "
            "text that is in the cache is not computed again. Least recently used "
            "entries are evicted; 0 disables the cache.",
        ),
    ] = 16 * 1024 * 1024
    # Without a limit, a steady stream of interactive work would starve bulk work.
    bulk_patience_ms: Annotated[
        float,
        Field(
            ge=0,
            le=86_400_000,
            allow_inf_nan=False,
            description="Maximum time in milliseconds that waiting bulk work is passed over in "
            "favor of interactive work. After that it leads one batch.",
        ),
    ] = 1000
    engine_timeout_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=86_400,
            allow_inf_nan=False,
            description="Maximum time in seconds that a batch may take before its engine counts as "
            "hung. Then everything that the engine holds is answered with an error, "
            "and its version is taken out. If that version is the current one of its "
            "name, the process exits with 1.",
        ),
    ] = 600
    drain_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=86_400,
            allow_inf_nan=False,
            description="Maximum time in seconds after SIGTERM to finish admitted requests, while "
            "new ones are answered 503, once --drain-grace-seconds are over. Requests that are "
            "not finished by then are answered 503 as well, and the process exits with 1 instead "
            "of 0.",
        ),
    ] = 30
    # Longer than usual clients are silent between two requests of a busy connection.
    drain_grace_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=86_400,
            allow_inf_nan=False,
            description="Maximum time in seconds after SIGTERM to go on as before, except that "
            "/readyz is 503 and every answer closes its connection, so that clients who keep "
            "connections open move elsewhere and none of them is refused. It ends sooner when no "
            "connection is open, is a part of --drain-seconds, and is skipped after SIGINT.",
        ),
    ] = 5
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(
            description="Minimum severity of the lines that are logged; debug adds one line for "
            "each probe. No level logs the text of a user."
        ),
    ] = "info"
    otlp_endpoint: Annotated[
        HttpUrl | None,
        Field(
            description="Base URL of an OpenTelemetry collector, such as http://collector:4318, "
            "that receives a trace of each request (docs/observability.md). Traces are "
            "sent in batches; those that the collector does not accept are dropped. If "
            "the packages are not installed (scripts/install otel), the process exits "
            "with 1. If it is unset, no traces are sent."
        ),
    ] = None

    check: Annotated[
        bool,
        Field(
            description="Check a start, and end: settings, key files, ports and models, which are "
            "loaded and whose golden scores are replayed. The exit code is 0 if the service would "
            "become ready; otherwise it is not, with the reason on standard error "
            "(docs/deploy.md)."
        ),
    ] = False

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_empty(cls, value: object, info: ValidationInfo) -> object:
        # A deployment's template that leaves a variable empty must not change who can connect, or
        # what is served. For these two lists, empty is the same as unset.
        lists = {"also_serve", "trusted_hosts"}
        if isinstance(value, str) and not value.strip() and info.field_name not in lists:
            raise ValueError("is empty: give it a value, or leave it out for the default")
        return value

    @model_validator(mode="after")
    def _admin_has_a_key(self) -> Self:
        if self.admin_port is not None and not self.admin_key:
            raise ValueError("--admin-port requires --admin-key-file, a file that holds a key")
        return self

    @model_validator(mode="after")
    def _processes_compute_on_a_cpu(self) -> Self:
        if self.engine_processes > 1 and (self.engine != "torch" or self.device == "cuda"):
            raise ValueError(
                "--engine-processes is for --engine torch on a CPU: leave it out, or choose "
                "--engine torch --device cpu"
            )
        return self

    @cached_property
    def criteria_weights(self) -> dict[str, float]:
        """The weights that --criteria gives, by name; empty where it is unset."""
        return read_weights(self.criteria or "")

    @cached_property
    def admin_key(self) -> str:
        """The key of the admin interface; empty if there is no file or it is empty."""
        # The validator above reads it, so a file that cannot be read ends the start. Editors end a
        # file with a newline, which is no part of the key.
        try:
            key = read_small_text(self.admin_key_file).strip() if self.admin_key_file else ""
        except ValueError as error:
            raise ValueError(f"--admin-key-file {error}") from None
        if any(character.isspace() for character in key):
            raise ValueError("--admin-key-file must hold one key on one line, without spaces in it")
        return key


def unknown_variables() -> list[str]:
    """Return variables with our prefix that are no setting; they are probably misspelled."""
    prefix = Settings.model_config["env_prefix"]
    known = {f"{prefix}{name}".upper() for name in Settings.model_fields}
    return sorted(n for n in os.environ if n.upper().startswith(prefix) and n.upper() not in known)
