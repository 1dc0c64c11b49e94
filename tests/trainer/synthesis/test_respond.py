from pathlib import Path

import pytest

from tests.trainer.synthesis.corpus import asking, snippet
from tests.trainer.synthesis.server import serving
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import StageError, read_manifest, writing_stage
from trainer.synthesis.describe import DescribeConfig, Description
from trainer.synthesis.respond import RespondConfig, Response, read_responses, run

ASKED = [
    Description(f"{snippet(number).id}-0", "p", language, f"Add {number}.")
    for number, language in enumerate(["python", "go"])
]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    with writing_stage(DescribeConfig(asking("")), tmp_path / "describe") as draft:
        write_shards(draft.path, "descriptions", ASKED, 100)
    return tmp_path


def test_each_description_has_its_samples_in_order(work: Path) -> None:
    with serving(lambda prompt, seed: f"{prompt.splitlines()[0]} {seed}") as server:
        run(RespondConfig(asking(server.url, samples=2)), work, work / "strong")
    assert read_responses(work / "strong") == [
        Response(asked.id, sample, f"{asked.text} {1 + sample}", "stop")
        for asked in ASKED
        for sample in range(2)
    ]
    prompts = {body["messages"][0]["content"] for body in server.bodies}
    assert any("Write it in go." in prompt for prompt in prompts)


def test_what_failed_is_counted_and_a_later_run_completes_it(work: Path) -> None:
    with serving(plan=["500"]) as server:
        config = RespondConfig(asking(server.url))
        run(config, work, work / "strong")
        counts = read_manifest(work / "strong")["counts"]
        assert counts == {"responses": 1, "not answered yet": 1}
        run(config, work, work / "strong")
    assert len(read_responses(work / "strong")) == 2
    assert len(server.bodies) == 3


def test_a_template_without_the_request_is_refused(work: Path) -> None:
    with pytest.raises(StageError, match=r"has no \{request\}"):
        run(RespondConfig(asking(""), template="Write code."), work, work / "strong")
