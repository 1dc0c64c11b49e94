from reward_model.text.chat import Message
from tests.trainer.preferences.rows import ROWS, TEMPLATE, model, row
from trainer.pairs.encoded import encode_rows
from trainer.pairs.row import PreferenceRow
from trainer.preferences.doctor.check_lengths import spread
from trainer.preferences.doctor.doctor import examine
from trainer.preferences.doctor.findings import Finding


def found(
    check: str, rows: list[PreferenceRow], *, max_tokens: int = 64, template: str = TEMPLATE
) -> Finding:
    encoder, facts = model(max_tokens=max_tokens, template=template)
    findings = examine(rows, encode_rows(rows, encoder), [], encoder, facts)
    (finding,) = [each for each in findings.checks if each.check == check]
    return finding


def tokens(each: PreferenceRow, answer: str) -> int:
    encoder, _ = model()
    (encoded,) = encode_rows([row("x", each.prompt, answer, "x")], encoder)
    return encoded.chosen.tokens


def test_a_pair_is_left_out_when_either_of_its_answers_is_too_long() -> None:
    long = row("long", "p", "word " * 40, "a", "b")
    rival = row("rival", "p", "a", "word " * 40, "b")
    finding = found("over length", [*ROWS, long, rival])
    assert (finding.severity, finding.count, finding.first) == ("warning", 3, "long")
    assert "3 of 7 pairs exceed 64 tokens" in finding.message


def test_the_limit_itself_fits() -> None:
    limit = max(tokens(ROWS[0], text) for text in ("It is 4.", "It is 5."))
    assert found("over length", ROWS[:1], max_tokens=limit).severity == "fine"
    assert found("over length", ROWS[:1], max_tokens=limit - 1).severity == "fatal"


def test_lengths_are_those_of_texts_that_do_not_fit_as_well() -> None:
    encoder, _ = model(max_tokens=8)
    figures = spread(encode_rows([row("long", "p", "word " * 40, "a")], encoder), 8)
    assert figures["limit"] == 8
    assert figures["longest"] == tokens(ROWS[0], "word " * 40) - tokens(ROWS[0], "x") + tokens(
        row("long", "p", "x"), "x"
    )


def test_texts_that_the_template_makes_equal_are_identical() -> None:
    stripping = TEMPLATE.replace("message.content", "message.content | trim")
    spaced = [row("r", "p", "a", "a  ", "b")]
    assert found("identical", spaced).severity == "fine"
    finding = found("identical", spaced, template=stripping)
    assert (finding.severity, finding.count, finding.first) == ("warning", 1, "r")
    alike = [row("s", "p", "a", "a ")]
    assert found("identical", alike, template=stripping).severity == "fatal", "no pair is left"


def test_conversations_that_a_template_refuses_are_fatal_and_counted() -> None:
    strict = "{% if messages | length > 2 %}{{ raise_exception('no') }}{% endif %}" + TEMPLATE
    later = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    finding = found("refused", [*ROWS, row("later", later, "d", "e")], template=strict)
    assert (finding.severity, finding.count, finding.first) == ("fatal", 1, "later")


def test_a_side_that_is_mostly_longer_is_told_with_its_share() -> None:
    longer = [row(f"{n}", "p", "word " * 5, "word") for n in range(15)]
    shorter = [row(f"s{n}", "p", "word", "word " * 5) for n in range(20)]
    assert "75% of 20 pairs" in found("length bias", longer + shorter[:5]).message
    assert found("length bias", longer + shorter[:5]).severity == "warning"
    assert found("length bias", shorter).severity == "warning"
    assert found("length bias", longer + shorter[:15]).severity == "fine"
    assert found("length bias", [row("e", "p", "a", "b")]).severity == "fine"


def test_a_few_pairs_say_nothing_about_lengths() -> None:
    few = [row(f"{n}", "p", "word " * 5, "word") for n in range(19)]
    assert found("length bias", few[:1]).severity == "fine"
    finding = found("length bias", few)
    assert finding.severity == "fine"
    assert "19 pairs, too few to tell" in finding.message


def test_an_answer_many_times_as_long_is_told() -> None:
    finding = found("extreme lengths", [*ROWS, row("far", "p", "no", "very " * 8)])
    assert (finding.severity, finding.count, finding.first) == ("warning", 1, "far")
