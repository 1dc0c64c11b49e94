import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.synthesis.corpus import asking, make_corpus, snippet
from tests.trainer.synthesis.server import serving
from trainer.pipeline.stage import StageError, manifest_hash, read_manifest
from trainer.synthesis import describe
from trainer.synthesis.describe import DescribeConfig, Description, read_descriptions


def describing(prompt: str, seed: int | None) -> str:
    """As a describer would, save for some functions."""
    match = re.search(r"add_(\d+)", prompt)
    assert match, "the prompt shows the code"
    number = int(match[1])
    spoilt = {1: "", 2: "I'm sorry, I can't.", 3: "```python\nx\n```", 4: "Add", 5: "as any OTHER"}
    return f" {spoilt.get(number, f'Add two numbers and {number}.')}" + " more" * (number == 6) * 9


def described(work: Path, config: DescribeConfig) -> list[Description]:
    describe.run(config, work, work / "describe")
    return read_descriptions(work / "describe")


def test_every_snippet_is_described_or_counted_under_a_reason(tmp_path: Path) -> None:
    make_corpus(tmp_path, [snippet(number) for number in [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]])
    with serving(describing) as server:
        config = DescribeConfig(asking(server.url), rows_per_shard=2)
        rows = described(
            tmp_path, replace(config, limits=replace(config.limits, max_characters=40))
        )
    assert [row.text for row in rows][1:] == [f"Add two numbers and {n}." for n in (7, 8, 9, 10)]
    assert rows[1] == Description(f"{7:016x}-0", "package0", "python", "Add two numbers and 7.")
    assert len(list((tmp_path / "describe").glob("*.jsonl"))) == 3
    assert read_manifest(tmp_path / "describe")["counts"] == {
        "snippets": 10,
        "asked": 10,
        "description: empty": 1,
        "description: refusal": 1,
        "description: code in it": 1,
        "description: too short": 1,
        "description: over-long": 1,
        "description: fit": 5,
        "kept": 5,
    }


def test_the_same_request_is_kept_once(tmp_path: Path) -> None:
    make_corpus(tmp_path, [snippet(number) for number in range(3)])
    with serving(lambda prompt, seed: "Add  two NUMBERS.") as server:
        rows = described(tmp_path, DescribeConfig(asking(server.url)))
    assert [row.id for row in rows] == [f"{0:016x}-0"]
    assert read_manifest(tmp_path / "describe")["counts"]["same request as another"] == 2


def test_several_samples_are_several_descriptions(tmp_path: Path) -> None:
    make_corpus(tmp_path, [snippet(1)])
    with serving(lambda prompt, seed: f"Add two numbers, take {seed}.") as server:
        rows = described(tmp_path, DescribeConfig(asking(server.url, samples=2)))
    assert [(row.id[-2:], row.text[-2]) for row in rows] == [("-0", "1"), ("-1", "2")]


def test_a_stage_run_again_asks_nothing_and_writes_the_same(tmp_path: Path) -> None:
    make_corpus(tmp_path, [snippet(number) for number in range(7, 20)])
    with serving(describing, plan=[None, "500", "cut"]) as server:
        config = DescribeConfig(asking(server.url))
        assert len(described(tmp_path, config)) == 11
        counts = read_manifest(tmp_path / "describe")["counts"]
        assert counts["description: not answered yet"] == 2
        rows = described(tmp_path, config)
        before = manifest_hash(tmp_path / "describe")
        asked = len(server.bodies)
        assert described(tmp_path, config) == rows
    assert len(rows) == 13
    assert len(server.bodies) == asked
    assert manifest_hash(tmp_path / "describe") == before


def test_more_snippets_are_the_same_and_further_ones(tmp_path: Path) -> None:
    make_corpus(tmp_path, [snippet(number) for number in range(7, 20)])
    with serving(describing) as server:
        config = DescribeConfig(asking(server.url), max_snippets=4)
        few = described(tmp_path, config)
        more = described(tmp_path, replace(config, max_snippets=9))
    assert (len(few), len(more)) == (4, 9)
    assert few == more[:4]
    assert len(server.bodies) == 9


@pytest.mark.parametrize(
    ("template", "message"),
    [("Describe this.", "has no {code}"), ("{code} {name}", "{code}, {language}")],
)
def test_a_wording_that_cannot_be_filled_in_is_refused(
    tmp_path: Path, template: str, message: str
) -> None:
    make_corpus(tmp_path, [snippet(1)])
    config = DescribeConfig(asking("http://127.0.0.1:1"), template=template)
    with pytest.raises(StageError, match=re.escape(message)):
        described(tmp_path, config)


def test_the_manifest_says_who_described_and_how(tmp_path: Path) -> None:
    make_corpus(tmp_path, [snippet(7)])
    with serving(describing) as server:
        described(tmp_path, DescribeConfig(asking(server.url)))
    manifest = read_manifest(tmp_path / "describe")
    asked = manifest["config"]["llm"]
    assert asked["endpoint"]["model"] == "coder"
    assert asked["sampling"]["max_tokens"] == 1024
    assert manifest["usage"]["completion_tokens"] == 5
    assert manifest["inputs"].keys() == {"corpus"}
