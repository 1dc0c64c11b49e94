from collections import Counter
from dataclasses import replace

import pytest

from tests.trainer.policy.policies import exact_rows, make_policy
from trainer.pairs.policy_row import PolicyAnswer, PolicyRow
from trainer.pipeline.stage import StageError
from trainer.policy.encoded import fitting_rows
from trainer.policy.start import PolicyStart, load_policy

TEXT = PolicyRow("one", "one", "add two", PolicyAnswer("a", "a + 2"), (PolicyAnswer("b", "a"),))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> PolicyStart:
    return load_policy(make_policy(tmp_path_factory.mktemp("policy")))


def test_ids_of_a_row_are_taken_as_they_are(start: PolicyStart) -> None:
    rows = exact_rows(4)
    for row, encoded in zip(rows, start.encoder.encode(rows), strict=True):
        assert tuple(encoded.prompt_ids) == row.prompt_ids
        given = (row.chosen, *row.rejected)
        assert [tuple(a.ids) for a in encoded.answers] == [a.token_ids for a in given]


def test_a_row_without_ids_is_encoded_as_it_is_generated(start: PolicyStart) -> None:
    (encoded,) = start.encoder.encode([TEXT])
    talk = [{"role": "user", "content": "add two"}]
    rendered = start.tokenizer.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
    assert start.tokenizer.decode(list(encoded.prompt_ids)) == rendered
    *answer, end = encoded.chosen.ids
    assert start.tokenizer.decode(answer) == "a + 2"
    assert end == start.tokenizer.eos_token_id


def test_a_prefix_has_no_end_token(start: PolicyStart) -> None:
    (encoded,) = start.encoder.encode([replace(TEXT, ends=False)])
    assert start.tokenizer.decode(list(encoded.chosen.ids)) == "a + 2"


def test_special_tokens_in_texts_are_letters(start: PolicyStart) -> None:
    end = start.tokenizer.eos_token
    row = replace(TEXT, prompt=f"say {end}", chosen=PolicyAnswer("a", f"x{end}y"))
    (encoded,) = start.encoder.encode([row])
    assert list(encoded.chosen.ids).count(start.tokenizer.eos_token_id) == 1
    (plain,) = start.encoder.encode([TEXT])
    special = set(start.tokenizer.all_special_ids)
    found, expected = (
        [id_ for id_ in each.prompt_ids if id_ in special] for each in (encoded, plain)
    )
    assert found == expected


def test_ids_of_another_vocabulary_are_refused(start: PolicyStart) -> None:
    row = replace(exact_rows(1)[0], prompt_ids=(5, 100_000))
    with pytest.raises(StageError, match="row row-0 has token id 100000, and this model's ids"):
        start.encoder.encode([row])


def test_log_probs_belong_to_ids(start: PolicyStart) -> None:
    row = exact_rows(1)[0]
    row = replace(row, chosen=replace(row.chosen, log_probs=(-0.1,)))
    with pytest.raises(StageError, match="write one for each id, or none"):
        start.encoder.encode([row])


def test_what_does_not_fit_is_left_out_and_counted(start: PolicyStart) -> None:
    row = replace(exact_rows(1)[0], prompt_ids=tuple(range(10, 20)))
    ids = row.chosen.token_ids
    long, empty = PolicyAnswer("long", "", tuple(range(50, 80))), PolicyAnswer("empty", "")
    same = PolicyAnswer("same", "", ids)
    fine = PolicyAnswer("fine", "", (*ids[:-1], 299))
    rows = [
        replace(row, id="mixed", rejected=(long, same, fine)),
        replace(row, id="chosen", chosen=long, rejected=(fine,)),
        replace(row, id="nothing", rejected=(same,)),
        replace(row, id="empty", ends=False, rejected=(empty, fine)),
    ]
    counts: Counter[str] = Counter()
    kept = fitting_rows(start.encoder.encode(rows), 30, counts)
    assert [(each.id, [a.id for a in each.rejected]) for each in kept] == [
        ("mixed", ["fine"]),
        ("empty", ["fine"]),
    ]
    assert counts == {
        "rejected: too long": 1,
        "rejected: the same tokens as the chosen": 2,
        "chosen: too long": 1,
        "row: nothing rejected": 1,
        "rejected: empty": 1,
    }
    with pytest.raises(StageError, match="none of the 1 rows can be trained on"):
        fitting_rows(start.encoder.encode([rows[1]]), 30, Counter())
