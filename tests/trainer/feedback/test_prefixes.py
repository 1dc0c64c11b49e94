from pathlib import Path

import pytest

from tests.checkpoints import make_tokenizer
from tests.trainer.feedback.problems import ADD, SUM, write_problems
from tests.trainer.feedback.rows import answer, make_samples
from trainer.feedback.prefixes import Prefix, PrefixesConfig, read_prefixes, run
from trainer.feedback.sample import Sample
from trainer.pipeline.stage import StageError, read_manifest

TOKENIZER = make_tokenizer().backend_tokenizer
LINES = [f"line_{number} = {number}" for number in range(10)]
TEXT = "\n".join(LINES)


def prefixes(work: Path, samples: list[Sample], config: PrefixesConfig) -> list[Prefix]:
    write_problems(work / "problems", ADD)
    make_samples(work, samples)
    run(config, work, work / "prefixes")
    return read_prefixes(work / "prefixes")


def tokenized(name: str, text: str) -> Sample:
    ids = tuple(TOKENIZER.encode(text, add_special_tokens=False).ids)
    end = TOKENIZER.token_to_id("<|end|>")
    log_probs = tuple(-0.1 * index for index in range(len(ids) + 1))
    return answer(name, text, token_ids=(*ids, end), log_probs=log_probs, prompt_ids=(5, 6))


def test_prefixes_end_at_line_ends_of_the_first_four_fifths(tmp_path: Path) -> None:
    found = prefixes(tmp_path, [answer("s", TEXT)], PrefixesConfig(share=1.0))
    assert {each.text for each in found} == {"\n".join(LINES[:end]) for end in range(1, 9)}
    assert {each.line for each in found} == set(range(1, 9))
    assert {each.lines for each in found} == {10}


def test_a_share_of_them_is_drawn_and_a_larger_share_holds_it(tmp_path: Path) -> None:
    few = prefixes(tmp_path, [answer("s", TEXT)], PrefixesConfig(share=0.3))
    more = prefixes(tmp_path, [answer("s", TEXT)], PrefixesConfig(share=0.6))
    other = prefixes(tmp_path, [answer("s", TEXT)], PrefixesConfig(share=0.3, seed=7))
    assert (len(few), len(more)) == (3, 5)  # of eight, rounded up
    assert {each.id for each in few} < {each.id for each in more}
    assert {each.id for each in few} != {each.id for each in other}


def test_math_is_cut_in_its_first_seven_tenths(tmp_path: Path) -> None:
    write_problems(tmp_path / "problems", SUM)
    make_samples(tmp_path, [answer("s", TEXT, problem="sum")])
    run(PrefixesConfig(share=1.0), tmp_path, tmp_path / "prefixes")
    assert max(each.line for each in read_prefixes(tmp_path / "prefixes")) == 7


def test_equal_prefixes_of_several_samples_are_one(tmp_path: Path) -> None:
    other = "\n".join([*LINES[:5], *LINES[5:][::-1]])
    found = prefixes(tmp_path, [answer("s", TEXT), answer("t", other)], PrefixesConfig(share=1.0))
    shared = {each.line for each in found if each.samples == ("s", "t")}
    assert shared == {1, 2, 3, 4, 5}
    assert len(found) == 5 + 3 + 3
    counts = read_manifest(tmp_path / "prefixes")["counts"]
    assert counts["prefix: same as another sample's"] == 5


def test_samples_with_a_common_beginning_are_cut_in_the_same_places(tmp_path: Path) -> None:
    samples = [answer(f"s{number}", f"{TEXT}\nend_{number}") for number in range(4)]
    found = prefixes(tmp_path, samples, PrefixesConfig(share=0.3))
    assert all(len(each.samples) == 4 for each in found)


def test_limits_of_a_sample_and_of_a_problem_are_counted(tmp_path: Path) -> None:
    samples = [answer(f"s{number}", TEXT.replace("line", f"l{number}")) for number in range(3)]
    config = PrefixesConfig(share=1.0, max_per_sample=4, max_per_problem=10)
    assert len(prefixes(tmp_path, samples, config)) == 10
    counts = read_manifest(tmp_path / "prefixes")["counts"]
    assert counts["cut: line ends"] == 24
    assert counts["cut: taken"] == 12
    assert counts["prefix: over the problem's limit"] == 2


def test_token_ids_and_log_probabilities_are_those_that_were_sampled(tmp_path: Path) -> None:
    make_tokenizer().save_pretrained(tmp_path / "policy")
    text = "def add(a, b):\n    total = a + b\n\n    # done\n    return total\n\nprint(add(1, 2))"
    sample = tokenized("s", text)
    for prefix in prefixes(
        tmp_path, [sample], PrefixesConfig(tokenizer=str(tmp_path / "policy"), share=1.0)
    ):
        number = len(prefix.token_ids)
        assert prefix.token_ids == sample.token_ids[:number]
        assert prefix.log_probs == sample.log_probs[:number]
        assert TOKENIZER.decode(prefix.token_ids) == prefix.text
        assert text.startswith(prefix.text)
        assert prefix.text.rstrip() in {text[:end].rstrip() for end in range(len(text))}
        rest = text[len(prefix.text) :]
        assert prefix.text.endswith("\n") or rest.lstrip(" ").startswith("\n")
    counts = read_manifest(tmp_path / "prefixes")["counts"]
    assert counts["prefix: with token ids"] == counts["prefix: kept"]
    assert counts["cut: moved within the line, to a token boundary"] == 0


def test_ids_that_are_not_those_of_the_text_are_counted_and_left_out(tmp_path: Path) -> None:
    make_tokenizer().save_pretrained(tmp_path / "policy")
    wrong = tokenized("s", TEXT.replace("line", "lane"))
    sample = answer("s", TEXT, token_ids=wrong.token_ids, log_probs=wrong.log_probs)
    found = prefixes(tmp_path, [sample], PrefixesConfig(tokenizer=str(tmp_path / "policy")))
    assert found
    assert not any(each.token_ids for each in found)
    counts = read_manifest(tmp_path / "prefixes")["counts"]
    assert counts["sample: token ids are not those of its text"] == 1


def test_answers_of_one_line_have_no_prefix(tmp_path: Path) -> None:
    found = prefixes(tmp_path, [answer("s", TEXT), answer("t", "pass")], PrefixesConfig())
    assert {each.sample for each in found} == {"s"}
    assert read_manifest(tmp_path / "prefixes")["counts"]["sample: too few lines"] == 1
    with pytest.raises(StageError, match="no prefixes"):
        prefixes(tmp_path, [answer("t", "pass")], PrefixesConfig())


def test_samples_of_other_problems_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="is not in problems"):
        prefixes(tmp_path, [answer("s", TEXT, problem="another")], PrefixesConfig())


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"tokenizer\.json"):
        prefixes(tmp_path, [answer("s", TEXT)], PrefixesConfig(tokenizer=str(tmp_path)))


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(StageError, match="first_share"):
        PrefixesConfig(first_share=share)
