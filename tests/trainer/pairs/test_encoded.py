from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from reward_model.packing import Sequence, shared_prefix
from reward_model.text.chat import NO_INPUTS, Conversation, TemplateInputs
from reward_model.text.encoding import Encoder
from tests.checkpoints import make_tokenizer
from tests.trainer.preferences.rows import TEMPLATE, row
from trainer.pairs.encoded import encode_rows
from trainer.pairs.row import PreferenceRow, conversation

RELEASE = Path(__file__).resolve().parents[3] / "releases" / "tiny-code-rm"
ROWS = [
    row("plain", "add two numbers", "def add(a, b): return a + b", "def add(a, b)", "jumps"),
    row("empty", "say nothing", "", "something"),
    row("spaced", "indent it", "    return a", "return a"),
    row("letters", "say it in Greek", "αβγ", "abc"),
]


class CountingEncoder(Encoder):
    """Counts the conversations that it encodes."""

    encoded = 0

    def encode(
        self,
        conversation: Conversation,
        step_ends: tuple[int, ...] = (),
        inputs: TemplateInputs = NO_INPUTS,
    ) -> Sequence:
        self.encoded += 1
        return super().encode(conversation, step_ends, inputs)


def expected_prompt(row: PreferenceRow, encoder: Encoder) -> int:
    """Tokens that the chosen answer shares with an empty one."""
    texts = [encoder.encode(conversation(row.prompt, text)).ids for text in (row.chosen, "")]
    return shared_prefix(*texts)


@pytest.fixture(params=["byte level", "release"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    if request.param == "byte level":
        return make_tokenizer(template=TEMPLATE)
    loaded = AutoTokenizer.from_pretrained(RELEASE)
    assert isinstance(loaded, PreTrainedTokenizerBase)
    return loaded


def test_ids_and_prompt_are_those_of_the_encoder(tokenizer: PreTrainedTokenizerBase) -> None:
    encoder = Encoder(tokenizer, max_tokens=512, pad_id=None)
    for given_row, encoded in zip(ROWS, encode_rows(ROWS, encoder), strict=True):
        texts = [given_row.chosen, *(rival.text for rival in given_row.rejected)]
        ids = [encoder.encode(conversation(given_row.prompt, text)).ids for text in texts]
        found = [encoded.chosen, *(rival.text for rival in encoded.rejected)]
        assert [tuple(text.ids) for text in found] == ids
        assert encoded.prompt_tokens == expected_prompt(given_row, encoder)


@given(st.text(min_size=1, max_size=12))
def test_the_prompt_ends_where_an_empty_answer_parts_from_any_answer(answer: str) -> None:
    encoder = Encoder(make_tokenizer(template=TEMPLATE), max_tokens=512, pad_id=None)
    given_row = row("r", "add two numbers", answer)
    (encoded,) = encode_rows([given_row], encoder)
    assert encoded.prompt_tokens == expected_prompt(given_row, encoder)


def test_a_text_is_encoded_once() -> None:
    encoder = CountingEncoder(make_tokenizer(template=TEMPLATE), max_tokens=512, pad_id=None)
    encode_rows(ROWS[:1], encoder)
    assert encoder.encoded == 3, "the chosen answer and two rejected ones"


def test_a_text_that_is_too_long_keeps_its_length_and_no_ids() -> None:
    encoder = Encoder(make_tokenizer(template=TEMPLATE), max_tokens=512, pad_id=None)
    (whole,) = encode_rows(ROWS[:1], encoder)
    short = Encoder(
        make_tokenizer(template=TEMPLATE), max_tokens=whole.chosen.tokens - 1, pad_id=None
    )
    (encoded,) = encode_rows(ROWS[:1], short)
    assert (encoded.chosen.tokens, encoded.chosen.fits) == (whole.chosen.tokens, False)
    assert encoded.prompt_tokens == 0
    assert [rival.text.fits for rival in encoded.rejected] == [True, True]


def test_a_row_that_the_template_refuses_is_kept_with_the_reason() -> None:
    strict = "{% if messages | length > 2 %}{{ raise_exception('no') }}{% endif %}" + TEMPLATE
    encoder = Encoder(make_tokenizer(template=strict), max_tokens=512, pad_id=None)
    long = replace(ROWS[0], prompt=conversation("one", "two"))
    refused, plain = encode_rows([long, ROWS[0]], encoder)
    assert "refuses" in refused.refused
    assert not refused.rejected
    assert not plain.refused


def test_a_template_that_rewrites_answers_still_parts_them_from_the_prompt() -> None:
    cutting = TEMPLATE.replace("message.content", "message.content[:4]")
    encoder = Encoder(make_tokenizer(template=cutting), max_tokens=512, pad_id=None)
    (encoded,) = encode_rows(ROWS[:1], encoder)
    assert encoded.prompt_tokens == expected_prompt(ROWS[0], encoder)
