"""Every knob of the service. The only reader of the environment."""

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, HttpUrl, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MOST_CANDIDATES = 16_384
"""Of one request, whatever the settings: to read more of them would hold up all others."""

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
    """A list as people write it in a flag or a variable."""
    return tuple(filter(None, value.replace(",", " ").split())) if isinstance(value, str) else value


class Settings(BaseSettings):
    """Scores candidate answers with a reward model, over HTTP.

    Every flag is also an environment variable: --max-batch-tokens is REWARD_MAX_BATCH_TOKENS.
    Where both are given the flag counts.
    """

    model_config = SettingsConfigDict(
        env_prefix="REWARD_",
        frozen=True,
        extra="forbid",
        cli_prog_name="python -m service",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        # `model_name` is the field's own name here, not one of pydantic's.
        protected_namespaces=(),
    )

    model: Annotated[
        str,
        Field(
            description="What to serve: a release directory, a Hugging Face "
            "sequence-classification checkpoint with one label, or the hub id of one. What cannot "
            "be read or verified is not served: the process exits with 1 and says why."
        ),
    ] = str(DEFAULT_MODEL)
    also_serve: Annotated[
        tuple[str, ...],
        NoDecode,
        BeforeValidator(_split_names),
        Field(
            description="More models to serve beside it, with commas between, each as --model "
            "takes one; every one has an engine and memory of its own. Requests name them. One "
            "that cannot be served ends the process as --model does."
        ),
    ] = ()
    admin_port: Annotated[
        int | None,
        Field(
            ge=0,
            le=65535,
            description="TCP port, on --host, of the interface that loads, swaps and unloads "
            "models while it serves (docs/models.md). Unset: there is none.",
        ),
    ] = None
    admin_key_file: Annotated[
        Path | None,
        Field(
            description="File with the key that the admin interface asks for; needed with "
            "--admin-port. A file that cannot be read or is empty: the process exits with 2."
        ),
    ] = None
    model_name: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Name that requests and /v1/models use. A request that names another "
            "model is answered 404. Unset: the release's own name, or the hub id.",
        ),
    ] = None
    chat_template: Annotated[
        Path | None,
        Field(
            description="Jinja file that replaces the checkpoint's chat template, for checkpoints "
            "without one. Refused for a release, whose scores hold for its own template only."
        ),
    ] = None
    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="TCP port to listen on; 0 takes any free one.")
    ] = 8000
    dialects: Annotated[
        tuple[DialectName, ...],
        NoDecode,
        BeforeValidator(_split_names),
        Field(
            description="Whose clients are served, with commas between: each adds its routes "
            "(docs/clients.md). What is left out is answered 404. Unset: all."
        ),
    ] = DIALECT_NAMES
    trusted_hosts: Annotated[
        tuple[HostName, ...],
        NoDecode,
        BeforeValidator(_split_names),
        Field(
            description="Names that requests may call this server by in their Host header, without "
            "port, with commas between; *.example.com is every name below it. Requests with "
            "another are answered 400, probes and /metrics excepted. Unset: any."
        ),
    ] = ()
    api_keys_file: Annotated[
        Path | None,
        Field(
            description="File of API keys and their quotas, made with python -m service.keys "
            "(docs/security.md). Requests without one of the keys are answered 401, probes and "
            "/metrics excepted. Read again when it changes; if it cannot be used then, the keys "
            "known before go on to count, at the start the process exits with 1. Unset: no key is "
            "needed."
        ),
    ] = None
    overload_status: Annotated[
        Literal["503", "429"],
        Field(
            description="Status of the answer, with Retry-After, when the queue is full or a key's "
            "quota used up. 503 is tried again by RLHF clients, which give up on 429."
        ),
    ] = "503"
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Field(description="Where the model runs; auto takes a GPU if there is one."),
    ] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Field(
            description="What the backbone computes in; the head and the scores are float32 "
            "always. auto: float32 on a CPU, the checkpoint's own on a GPU."
        ),
    ] = "auto"
    engine: Annotated[
        Literal["torch", "vllm"],
        Field(
            description="What runs the model. torch: one GPU or the CPU, a shared prefix computed "
            "once. vllm: several GPUs, quantised or very large models, causal ones only; where it "
            "is not installed (scripts/install-vllm) the process exits with 1."
        ),
    ] = "torch"
    tensor_parallel: Annotated[
        int,
        Field(
            ge=1,
            description="GPUs that share the layers of one model, for engine vllm. More than the "
            "machine has: it never becomes ready, and the log says why.",
        ),
    ] = 1
    kv_cache_gib: Annotated[
        float | None,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="GiB on each GPU, or of the machine with a CPU, for what vllm keeps of "
            "texts: those that run, then prefixes of earlier ones. Texts for which there is no "
            "room wait; too little for one of the greatest length: it never becomes ready. Unset: "
            "what the weights leave of a GPU's memory, 4 with a CPU.",
        ),
    ] = None
    cpu_threads: Annotated[
        int,
        Field(
            ge=0, description="Threads of one forward of torch on a CPU; 0 leaves it to PyTorch."
        ),
    ] = 0
    encode_threads: Annotated[
        int,
        Field(ge=1, description="Threads that turn texts into tokens; what is over waits."),
    ] = 2
    max_batch_tokens: Annotated[
        int | None,
        Field(
            ge=1,
            description="Tokens computed in one batch, a shared prefix counted once; fewer where "
            "the memory that is free after loading has no room for them. What would go over waits "
            "for the next batch; a text longer than this runs alone. Unset: as many as are "
            "computed at full speed, 4096 on a CPU and 8192 elsewhere, and up to twice as many "
            "where texts with a long beginning in common would be torn apart.",
        ),
    ] = None
    max_wait_ms: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="Milliseconds the first text of a batch may wait for company while the "
            "engine is free; after that the batch runs however small it is.",
        ),
    ] = 0
    max_queue_tokens: Annotated[
        int,
        Field(
            ge=1,
            description="Tokens admitted and not yet computed, for each priority apart. While "
            "there are as many, requests are answered 503 with Retry-After.",
        ),
    ] = 1_000_000
    max_queue_items: Annotated[
        int,
        Field(
            ge=1,
            description="Candidates admitted and not yet scored, for each priority apart. While "
            "there are as many, requests are answered 503 with Retry-After.",
        ),
    ] = 16_384
    max_candidates: Annotated[
        int,
        Field(
            ge=1,
            le=MOST_CANDIDATES,
            description="Candidates of one request, over all its inputs; more are answered 422.",
        ),
    ] = 1024
    max_body_bytes: Annotated[
        int, Field(ge=1, description="Bytes of one request's body; more are answered 413.")
    ] = 16 * 1024 * 1024
    result_cache_bytes: Annotated[
        int,
        Field(
            ge=0,
            description="Bytes for scores of earlier requests, 192 a candidate: the same text is "
            "not computed again. What was not asked for longest goes first; 0 keeps none.",
        ),
    ] = 16 * 1024 * 1024
    bulk_patience_ms: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="Milliseconds that waiting bulk work may be passed over for interactive "
            "work; after that it leads one batch.",
        ),
    ] = 1000
    engine_timeout_seconds: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="Seconds after which a batch is taken for hung. Everything that its engine "
            "holds is answered with an error and its version is taken out. If that version is the "
            "current one of its name, the process exits with 1, to be started afresh.",
        ),
    ] = 600
    drain_seconds: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="Seconds after SIGTERM to finish what was admitted, while new requests "
            "are answered 503. What is not finished then is answered 503 too, and the process "
            "exits with 1 instead of 0.",
        ),
    ] = 30
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(
            description="Least severe lines that are logged; debug adds a line for each probe. "
            "No level logs a user's text."
        ),
    ] = "info"
    otlp_endpoint: Annotated[
        HttpUrl | None,
        Field(
            description="Base URL of an OpenTelemetry collector, such as http://collector:4318: "
            "requests are sent there as traces, in batches, and what it does not take is dropped "
            "(docs/observability.md). Where the packages are not installed (scripts/install otel) "
            "the process exits with 1. Unset: no traces."
        ),
    ] = None

    @model_validator(mode="after")
    def _admin_has_a_key(self) -> Self:
        if self.admin_port is not None and not self.admin_key:
            raise ValueError("--admin-port needs --admin-key-file, a file with a key in it")
        return self

    @cached_property
    def admin_key(self) -> str:
        """Empty without a file, or with an empty one."""
        try:
            return self.admin_key_file.read_text("utf-8").strip() if self.admin_key_file else ""
        except OSError as error:
            raise ValueError(f"--admin-key-file cannot be read: {error.strerror}") from None


def unknown_variables() -> list[str]:
    """Variables that look like ours and set nothing, probably misspelt."""
    prefix = Settings.model_config["env_prefix"]
    known = {f"{prefix}{name}".upper() for name in Settings.model_fields}
    return sorted(n for n in os.environ if n.upper().startswith(prefix) and n.upper() not in known)
