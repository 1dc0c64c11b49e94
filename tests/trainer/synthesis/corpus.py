"""A small finished corpus, made of functions that a test can recognise, and configs to ask with."""

from pathlib import Path

from trainer.corpus.gather import CorpusConfig
from trainer.corpus.snippet import Snippet, write_snippets
from trainer.pipeline.stage import writing_stage
from trainer.synthesis.completions import LlmConfig
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.requests import Sampling


def snippet(number: int, package: str = "") -> Snippet:
    source = f"def add_{number}(a, b):\n    total = a + b + {number}\n    return total * {number}"
    name = f"add_{number}"
    package = package or f"package{number % 7}"
    return Snippet(f"{number:016x}", package, "MIT", "f.py", name, f"{name}(a, b)", "", source)


def make_corpus(work: Path, snippets: list[Snippet]) -> None:
    with writing_stage(CorpusConfig(), work / "corpus") as draft:
        write_snippets(draft.path, snippets, 1000)


def asking(url: str, model: str = "coder", samples: int = 1, concurrency: int = 4) -> LlmConfig:
    """Without retries: what fails once fails for the run."""
    endpoint = EndpointConfig(url, model, concurrency=concurrency, max_retries=0)
    return LlmConfig(endpoint, Sampling(samples=samples))
