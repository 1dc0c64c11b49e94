from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.feedback.rows import SAMPLER, make_stage
from tests.trainer.synthesis.corpus import asking
from tests.trainer.synthesis.server import serving
from trainer.feedback.prefix_completions import PrefixCompletionsConfig, run
from trainer.feedback.prefixes import STEM, Prefix
from trainer.feedback.sample import Sample, read_samples
from trainer.pipeline.stage import StageError, read_manifest
from trainer.synthesis.completions import LlmConfig

TEXT = Prefix("t", "s", "add", "Solve add.", "def add(a, b):\n", 1, 3, SAMPLER)
EXACT = replace(TEXT, id="e", prompt_ids=(7, 8), token_ids=(9, 10, 11), log_probs=(-0.1,) * 3)


def on_route_completions(url: str, samples: int = 2) -> LlmConfig:
    asked = asking(url, samples=samples)
    return replace(asked, endpoint=replace(asked.endpoint, route="completions"))


def completed(work: Path, prefixes: list[Prefix], config: PrefixCompletionsConfig) -> list[Sample]:
    make_stage(work / "prefixes", STEM, prefixes)
    run(config, work, work / "completions")
    return read_samples(work / "completions")


def test_a_prefix_with_token_ids_is_asked_by_them(tmp_path: Path) -> None:
    with serving(lambda prompt, seed: f"    return {seed}") as server:
        config = PrefixCompletionsConfig(on_route_completions(server.url))
        samples = completed(tmp_path, [EXACT], config)
    assert [body["prompt"] for body in server.bodies] == [[7, 8, 9, 10, 11]] * 2
    for number, sample in enumerate(samples):
        assert (sample.number, sample.prefix, sample.problem) == (number, "e", "add")
        assert sample.text == f"def add(a, b):\n    return {number + 1}"
        assert sample.prompt_ids == (7, 8)
        # The server's ids are the lengths of the words.
        assert sample.token_ids == (9, 10, 11, 6, 1)
        assert sample.log_probs == (-0.1, -0.1, -0.1, -6.0, -1.0)
    assert len({sample.id for sample in samples}) == 2


def test_on_the_route_chat_the_assistants_message_is_continued(tmp_path: Path) -> None:
    with serving(lambda prompt, seed: "\n    return a") as server:
        samples = completed(tmp_path, [TEXT, EXACT], PrefixCompletionsConfig(asking(server.url)))
    counts = read_manifest(tmp_path / "completions")["counts"]
    assert counts["prefix: asked alike, not asked again"] == 1
    for body in server.bodies:
        assert body["messages"] == [
            {"role": "user", "content": "Solve add."},
            {"role": "assistant", "content": "def add(a, b):"},
        ]
        assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert [sample.text for sample in samples] == ["def add(a, b):\n    return a"]
    assert not any(sample.token_ids for sample in samples)


def test_without_token_ids_the_route_completions_is_refused_or_sends_plain_text(
    tmp_path: Path,
) -> None:
    with serving(lambda prompt, seed: "    return a") as server:
        config = PrefixCompletionsConfig(on_route_completions(server.url))
        with pytest.raises(StageError, match="set its `tokenizer`"):
            completed(tmp_path, [TEXT], config)
        assert [each.prefix for each in completed(tmp_path, [TEXT, EXACT], config)] == ["e", "e"]
        counts = read_manifest(tmp_path / "completions")["counts"]
        assert counts["prefix: without token ids, not asked"] == 1
        completed(tmp_path, [TEXT], replace(config, plain_text=True))
    assert server.bodies[-1]["prompt"] == "Solve add.def add(a, b):\n"


def test_what_is_not_answered_is_counted_and_a_later_run_asks_only_for_it(
    tmp_path: Path,
) -> None:
    with serving(lambda prompt, seed: f"    return {seed}", plan=["500"]) as server:
        config = PrefixCompletionsConfig(on_route_completions(server.url, samples=3))
        assert len(completed(tmp_path, [EXACT], config)) == 2
        counts = read_manifest(tmp_path / "completions")["counts"]
        assert counts["completion: not answered yet"] == 1
        assert len(completed(tmp_path, [EXACT], config)) == 3
    assert len(server.bodies) == 4
