"""A prompt and its answer are the tokenizer's own pair, and no text becomes a control token."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from reward_model.text.chat import Conversation, Message, TemplateInputs, Unencodable
from reward_model.text.encoding import TooLong
from reward_model.text.pairs import PairEncoder
from tests.checkpoints import make_pair_tokenizer

TOKENIZER = make_pair_tokenizer()
ENCODER = PairEncoder(TOKENIZER, max_tokens=30, pad_id=0, token_types=True)


def pair(prompt: str, answer: str) -> Conversation:
    return (Message("user", prompt), Message("assistant", answer))


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [("what is a", "the function"), ("", "x"), ("Ünïcode\tIS", "a\n\nb"), ("猫", "[ SEP ]")],
)
def test_a_pair_is_that_of_the_tokenizer(prompt: str, answer: str) -> None:
    expected = TOKENIZER(prompt, answer).data
    sequence = ENCODER.encode(pair(prompt, answer))
    assert list(sequence.ids) == expected["input_ids"]
    assert list(sequence.token_types) == expected["token_type_ids"]
    assert sequence.read_at == (len(sequence.ids) - 1,)


def test_special_tokens_of_a_text_are_its_letters() -> None:
    ids = ENCODER.encode(pair("a[SEP]a", "[CLS] [PAD] [MASK]")).ids
    cls, sep, pad, mask = TOKENIZER.convert_tokens_to_ids(["[CLS]", "[SEP]", "[PAD]", "[MASK]"])
    assert [ids.count(token) for token in (cls, sep, pad, mask)] == [1, 2, 0, 0]


def test_a_vocabulary_that_cannot_spell_a_special_token_refuses_it() -> None:
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 1), ("</s>", 2)],
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    encoder = PairEncoder(tokenizer, max_tokens=30, pad_id=None, token_types=False)
    assert encoder.encode(pair("a", "b")).ids == (1, 3, 2, 2, 0, 2)
    assert encoder.encode(pair("a", "b")).token_types == ()
    with pytest.raises(Unencodable, match="cannot escape"):
        encoder.encode(pair("a", "a </s> a"))


@pytest.mark.parametrize(
    "conversation",
    [
        (Message("assistant", "x"),),
        (Message("system", "s"), *pair("a", "b")),
        (*pair("a", "b"), *pair("a", "b")),
        (Message("assistant", "x"), Message("user", "x")),
        (Message("user", "x"), Message("assistant", "x", '{"tool_calls": []}')),
    ],
)
def test_other_conversations_are_no_pairs(conversation: Conversation) -> None:
    with pytest.raises(Unencodable, match="one prompt and one answer"):
        ENCODER.encode(conversation)


def test_what_only_a_template_could_see_is_refused() -> None:
    with pytest.raises(Unencodable, match="one prompt and one answer"):
        ENCODER.encode(pair("a", "b"), inputs=TemplateInputs(tools="[]"))
    with pytest.raises(Unencodable, match="none for its steps"):
        ENCODER.encode(pair("a", "b"), step_ends=(1,))


def test_a_pair_that_is_too_long_says_by_how_much() -> None:
    with pytest.raises(TooLong) as caught:
        ENCODER.encode(pair("a " * 20, "a " * 20))
    assert (caught.value.tokens, caught.value.limit) == (43, 30)
    assert ENCODER.count(pair("a " * 20, "a " * 20)) == 43
