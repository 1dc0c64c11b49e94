"""What is wrong with a checkpoint's weights is said in a few lines that name the remedy."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from reward_model.release.checkpoint import load_weights
from reward_model.release.files import WEIGHTS, ReleaseError
from reward_model.release.release import open_release
from reward_model.release.weight_names import common_prefix, some
from tests.checkpoints import make_checkpoint

Weights = dict[str, Tensor]


def load_changed(path: Path, change: Callable[[Weights], Weights]) -> tuple[str, ...]:
    file = make_checkpoint(path, num_hidden_layers=4) / WEIGHTS
    save_file(change(load_file(file)), file, {"format": "pt"})
    return load_weights(open_release(path))[1]


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "backbone.", "_fsdp_wrapped_module."])
def test_a_prefix_of_all_names_is_named_with_the_lines_that_strip_it(
    tmp_path: Path, prefix: str
) -> None:
    with pytest.raises(ReleaseError, match="begin with") as caught:
        load_changed(tmp_path, lambda weights: {prefix + name: weights[name] for name in weights})
    message = str(caught.value)
    assert repr(prefix) in message
    assert "save_pretrained" not in message
    # The lines do what they say.
    code = "\n".join(line.strip() for line in message.splitlines()[1:])
    exec(code.replace("model.safetensors", str(tmp_path / WEIGHTS)))  # noqa: S102
    load_weights(open_release(tmp_path))


def test_a_prefix_that_transformers_knows_is_stripped_by_it(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "plain", num_hidden_layers=4)
    expected = load_weights(open_release(tmp_path / "plain"))[0].state_dict()
    path = tmp_path / "prefixed"
    assert not load_changed(path, lambda weights: {f"model.{n}": w for n, w in weights.items()})
    for name, weight in load_weights(open_release(path))[0].state_dict().items():
        assert torch.equal(weight, expected[name]), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda weights: {n: w for n, w in weights.items() if "score" not in n},
            r"hold no score\.weight, which would be random\. Serve",
        ),
        (
            lambda weights: {n.replace("score", "v_head"): w for n, w in weights.items()},
            r"hold no score\.weight.* They also hold v_head\.weight, which",
        ),
        (
            lambda weights: {n.replace("score", "score.2"): w for n, w in weights.items()},
            r"hold no score\.weight.* They also hold score\.2\.weight, which",
        ),
        (
            lambda weights: {n: w for n, w in weights.items() if "layers.2" not in n},
            r"hold no \S+, \S+, \S+ and 9 more, which would",
        ),
        (
            lambda weights: weights | {"score.weight": torch.ones(2, 32)},
            r"score\.weight with shape 2x32.*asks for 1x32;.*2 scores.*num_labels=1",
        ),
        (
            lambda weights: weights | {"model.embed_tokens.weight": torch.ones(401, 32)},
            r"embed_tokens.* shape 401x32.*vocab_size to 401",
        ),
        (
            lambda weights: weights | {"model.norm.weight": torch.ones(16)},
            r"model\.norm\.weight with shape 16, .*asks for 32; .*different models",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_a_sentence(
    tmp_path: Path, change: Callable[[Weights], Weights], message: str
) -> None:
    with pytest.raises(ReleaseError, match=message) as caught:
        load_changed(tmp_path, change)
    assert len(str(caught.value)) < 500
    assert "report" not in str(caught.value)


def test_weights_without_a_place_are_told(tmp_path: Path) -> None:
    def add(weights: Weights) -> Weights:
        bias = {"score.bias": torch.ones(1)}
        return weights | bias | {"model.layers.4.mlp.up_proj.weight": torch.ones(64, 32)}

    (warning,) = load_changed(tmp_path, add)
    assert "hold model.layers.4.mlp.up_proj.weight, score.bias, which the model" in warning


def test_a_language_models_head_is_no_reason_to_warn(tmp_path: Path) -> None:
    assert not load_changed(tmp_path, lambda weights: weights | {"lm_head.weight": torch.ones(3)})


def test_fewer_layers_in_the_config_are_told(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text()) | {"num_hidden_layers": 1, "layer_types": None}
    file.write_text(json.dumps(config))
    (warning,) = load_weights(open_release(tmp_path))[1]
    assert "model.layers.1." in warning
    assert "more, which the model" in warning


def test_three_names_and_a_count() -> None:
    assert some(["c", "b", "a"]) == "a, b, c"
    assert some(["e", "d", "c", "b", "a"]) == "a, b, c and 2 more"


def test_one_name_alone_has_no_prefix() -> None:
    assert not common_prefix({"score.weight"}, {"v.score.weight"})
