from dataclasses import replace

import pytest

from reward_model.text.encoding import Encoder
from tests.checkpoints import make_tokenizer
from tests.trainer.preferences.rows import ROWS, TEMPLATE, model, row
from trainer.pairs.encoded import encode_rows
from trainer.pairs.row import PreferenceRow
from trainer.preferences.doctor.check_model import ModelFacts, clock
from trainer.preferences.doctor.doctor import examine
from trainer.preferences.doctor.findings import Finding


def found(check: str, rows: list[PreferenceRow] = ROWS, **model_facts: object) -> Finding:
    encoder, facts = model(**model_facts)  # type: ignore[arg-type]
    return only(check, examine_model(rows, encoder, facts))


def examine_model(rows: list[PreferenceRow], encoder: Encoder, facts: ModelFacts) -> list[Finding]:
    return list(examine(rows, encode_rows(rows, encoder), [], encoder, facts).checks)


def only(check: str, findings: list[Finding]) -> Finding:
    (finding,) = [each for each in findings if each.check == check]
    return finding


def changed(check: str, **changes: object) -> Finding:
    encoder, facts = model()
    return only(check, examine_model(ROWS, encoder, replace(facts, **changes)))  # type: ignore[arg-type]


def test_a_frozen_head_is_fatal() -> None:
    assert changed("score head", head_trainable=False).severity == "fatal"


def test_a_pad_that_ends_texts_is_fatal_in_tokenizer_and_config_alike() -> None:
    _, facts = model()
    eos = facts.tokenizer.eos_token_id
    assert found("pad token", pad_is_eos=True).severity == "fatal"
    assert changed("pad token", pad_id=eos).severity == "fatal"
    assert changed("pad token", pad_id=7).severity == "warning"
    assert changed("pad token", pad_id=None).severity == "fine"


def test_no_pad_is_fatal() -> None:
    encoder, facts = model()
    facts.tokenizer.pad_token = None  # type: ignore[attr-defined]
    unpadded = ModelFacts(facts.tokenizer, head_trainable=True)
    assert only("pad token", examine_model(ROWS, encoder, unpadded)).severity == "fatal"


@pytest.mark.parametrize(
    ("begin", "adds_bos", "severity", "message"),
    [
        ("", False, "fine", "not used"),
        ("<|bos|>", False, "fine", "once"),
        ("<|bos|>", True, "warning", "another"),
        ("", True, "warning", "does not write it"),
        ("<|bos|><|bos|>", False, "fatal", "twice"),
    ],
)
def test_bos_is_written_once_or_not_at_all(
    begin: str, adds_bos: bool, severity: str, message: str
) -> None:
    finding = found("BOS", template=begin + TEMPLATE, adds_bos=adds_bos)
    assert finding.severity == severity
    assert message in finding.message


@pytest.mark.parametrize(
    ("check", "template"),
    [
        # Samples an answer after a thought that no finished conversation holds.
        ("generation prompt", TEMPLATE.replace("<|assistant|>\n", "<|assistant|>\nHmm")),
        ("answers rendered", TEMPLATE.replace("message.content", "message.content[:2]")),
    ],
)
def test_a_template_that_changes_texts_is_found(check: str, template: str) -> None:
    finding = found(check, template=template)
    assert (finding.severity, finding.count, finding.first) == ("warning", 2, "r1")


def test_tokens_that_grow_over_the_prompts_end_are_found() -> None:
    """Two letters that are one token when they meet."""
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    merged = row("m", "def ad", "d(a, b): return a + b", "x")
    finding = found("prompt's tokens", [merged, *ROWS], template=template)
    assert (finding.severity, finding.first) == ("warning", "m")


def test_special_tokens_in_a_text_are_no_fault_of_the_template() -> None:
    hostile = row("h", "Say <|end|> twice.", "<|end|><|end|>", "<|user|>")
    encoder, facts = model()
    findings = examine([hostile], encode_rows([hostile], encoder), [], encoder, facts).checks
    checks = ("generation prompt", "prompt's tokens", "answers rendered")
    assert {each.severity for each in findings if each.check in checks} == {"fine"}


def test_a_template_that_asks_for_the_date_is_told_with_the_date() -> None:
    source = "{{ strftime_now('%d %b %Y') }}" + TEMPLATE
    dated = Encoder(make_tokenizer(template=source), max_tokens=64, pad_id=None)
    plain = Encoder(make_tokenizer(), max_tokens=64, pad_id=None)
    assert clock(plain).severity == "fine"
    found = clock(dated)
    assert (found.check, found.severity) == ("clock", "warning")
    assert "always tell it 2024-07-26" in found.message
