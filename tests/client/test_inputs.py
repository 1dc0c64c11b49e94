import pytest

from codepmp_client.inputs import Input, Options


def test_one_string_is_not_taken_for_a_list_of_letters() -> None:
    with pytest.raises(TypeError, match="give a list"):
        Input("prompt", "abc")


def test_an_input_without_candidates_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Input("prompt", [])


def test_a_conversation_is_sent_as_messages() -> None:
    turns = [{"role": "user", "content": "hello"}]
    assert Input(turns, ("a", ("b", "c"))).fields() == {
        "messages": turns,
        "candidates": ["a", ["b", "c"]],
    }


def test_options_that_are_not_set_are_left_to_the_server() -> None:
    assert Options().fields() == {"priority": "interactive", "over_length": "error"}
    assert Options(model="rm", steps="\n").fields()["steps"] == {"delimiter": "\n"}
    assert Options(models={"rm": 1, "other": -0.5}).fields()["models"] == {"rm": 1, "other": -0.5}
