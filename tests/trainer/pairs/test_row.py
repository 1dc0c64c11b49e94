from pathlib import Path

import pytest

from reward_model.text.chat import Message
from trainer.corpus.gather import CorpusConfig
from trainer.pairs.row import (
    SPLITS,
    PreferenceRow,
    Rejected,
    Request,
    conversation,
    read_pairs,
    texts,
    write_pairs,
)
from trainer.pipeline.stage import StageError, writing_stage

TURNS = (Message("system", "Be brief."), Message("user", "Name a prime."))


@pytest.mark.parametrize(
    ("request_", "roles"), [("Name a prime.", ["user"]), (TURNS, ["system", "user"])]
)
def test_an_answer_follows_all_turns_of_its_request(request_: Request, roles: list[str]) -> None:
    talk = conversation(request_, "Two.")
    assert [message.role for message in talk] == [*roles, "assistant"]
    assert talk[-1].content == "Two."


def test_the_texts_of_a_row_are_its_turns_and_its_chosen_answer() -> None:
    row = PreferenceRow("1", "g", TURNS, "Two.", (Rejected("wrong", "Nine."),))
    assert texts(row) == ["Be brief.", "Name a prime.", "Two."]


def test_rows_come_back_as_they_were_in_order_over_several_shards(tmp_path: Path) -> None:
    rejected = (Rejected("wrong", "Nine.", margin=0.5),)
    rows = [
        PreferenceRow(str(number), "g", TURNS if number % 2 else "p", "Two.", rejected, "s", 0.5)
        for number in range(5)
    ]
    with writing_stage(CorpusConfig(), tmp_path / "pairs") as draft:
        for split in SPLITS:
            write_pairs(draft.path, split, rows if split == "train" else [], 2)
    assert read_pairs(tmp_path / "pairs", "train") == rows
    assert read_pairs(tmp_path / "pairs", "evaluation") == []
    with pytest.raises(StageError):
        read_pairs(tmp_path / "absent", "train")
