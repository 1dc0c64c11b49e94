"""Every dialect asks for the same texts, and reads the same scores."""

import pytest

from benchmarks.inputs.dialects import DIALECTS
from benchmarks.inputs.texts import Texts, load_renderer
from benchmarks.inputs.traces import Request
from tests.checkpoints import make_checkpoint

_REQUEST = Request("Add.", ("a + b", "a - b"))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Texts:
    return load_renderer(make_checkpoint(tmp_path_factory.mktemp("model"))).texts(_REQUEST)


def test_texts_are_rendered_by_the_template_and_share_their_prompt(texts: Texts) -> None:
    assert texts.rendered[0] == "<|user|>\nAdd.<|end|>\n<|assistant|>\na + b<|end|>\n"
    assert texts.tokens > texts.computed > len(texts.sequences[0].ids)


def test_what_is_asked(texts: Texts) -> None:
    asked = {name: dialect.body(texts) for name, dialect in DIALECTS.items()}
    assert asked["native"] == {"inputs": [{"prompt": "Add.", "candidates": ["a + b", "a - b"]}]}
    assert asked["openrlhf"]["query"] == list(texts.rendered)
    assert asked["vllm"]["input"] == [list(sequence.ids) for sequence in texts.sequences]
    assert asked["vllm-text"]["input"] == list(texts.rendered)
    assert asked["vllm"]["use_activation"] is False


@pytest.mark.parametrize(
    ("name", "answer", "scores"),
    [
        ("native", b'{"results": [{"scores": [{"score": 1.5}, {"score": null}]}]}', [1.5, None]),
        ("openrlhf", b'{"rewards": [1.5, -2], "scores": [0, 0]}', [1.5, -2.0]),
        (
            "vllm",
            b'{"data": [{"index": 1, "probs": [-2]}, {"index": 0, "probs": [1.5]}]}',
            [1.5, -2.0],
        ),
    ],
)
def test_what_is_read(name: str, answer: bytes, scores: list[float | None]) -> None:
    assert DIALECTS[name].scores(answer) == scores
