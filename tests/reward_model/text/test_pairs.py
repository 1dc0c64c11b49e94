"""A prompt and its answer are the tokenizer's own pair, and no text becomes a control token."""

from contextlib import suppress

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
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
    special = TOKENIZER.get_vocab()
    counts = [ids.count(special[token]) for token in ("[CLS]", "[SEP]", "[PAD]", "[MASK]")]
    assert counts == [1, 2, 0, 0]


def as_xlm_roberta() -> PreTrainedTokenizerFast:
    """Unigram, whose vocabulary holds `</s>` as a word like any other."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.train_from_iterator(
        ["what is the function that returns nothing", "for item in items </s>"] * 9,
        trainers.UnigramTrainer(
            vocab_size=60, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    ids = [("<s>", 0), ("</s>", 2)]
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=ids
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    )


@pytest.mark.parametrize(("prompt", "answer"), [("what is", "the"), ("", "é 猫"), (" a  ", "\n")])
def test_a_pair_of_unigram_is_that_of_the_tokenizer(prompt: str, answer: str) -> None:
    tokenizer = as_xlm_roberta()
    encoder = PairEncoder(tokenizer, max_tokens=99, pad_id=1, token_types=False)
    sequence = encoder.encode(pair(prompt, answer))
    assert list(sequence.ids) == tokenizer(prompt, answer).data["input_ids"]
    assert sequence.token_types == ()


def test_special_tokens_that_a_vocabulary_holds_as_words_are_letters() -> None:
    tokenizer = as_xlm_roberta()
    encoder = PairEncoder(tokenizer, max_tokens=99, pad_id=1, token_types=False)
    ids = encoder.encode(pair("it is </s> what", "the</s><s> <pad><mask>")).ids
    assert [ids.count(token) for token in (0, 1, 2, 4)] == [1, 0, 3, 0]
    assert len(ids) > 12, "spelled out"


def test_characters_that_stand_for_special_tokens_are_no_way_round() -> None:
    tokenizer = as_xlm_roberta()
    encoder = PairEncoder(tokenizer, max_tokens=99, pad_id=1, token_types=False)
    for index in range(5):
        with suppress(Unencodable):
            ids = encoder.encode(pair("a", f"\ue000\ue001{index}\ue002")).ids
            assert [ids.count(token) for token in (0, 1, 2, 4)] == [1, 0, 3, 0]


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


def test_letters_without_a_token_are_no_control_tokens_whatever_the_config_calls_theirs() -> None:
    tokenizer = make_pair_tokenizer()
    tokenizer.unk_token = None
    encoder = PairEncoder(tokenizer, max_tokens=30, pad_id=0, token_types=True)
    assert TOKENIZER.unk_token_id in encoder.encode(pair("猫", "a")).ids


def test_what_only_a_template_could_see_is_refused() -> None:
    with pytest.raises(Unencodable, match="one prompt and one answer"):
        ENCODER.encode(pair("a", "b"), inputs=TemplateInputs(tools="[]"))
    with pytest.raises(Unencodable, match="none for its steps"):
        ENCODER.encode(pair("a", "b"), step_ends=(1,))


def test_a_pair_that_is_too_long_says_by_how_much() -> None:
    with pytest.raises(TooLong) as caught:
        ENCODER.encode(pair("a " * 20, "a " * 20))
    assert (caught.value.tokens, caught.value.limit) == (43, 30)
