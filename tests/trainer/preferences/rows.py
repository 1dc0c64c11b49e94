"""Rows and a healthy model for the doctor's tests."""

from reward_model.text.encoding import Encoder
from tests.checkpoints import make_tokenizer
from trainer.pairs.row import PreferenceRow, Rejected, Request
from trainer.preferences.doctor.check_model import ModelFacts

TEMPLATE = """\
{%- for message in messages -%}
<|{{ message.role }}|>
{{ message.content }}<|end|>
{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% endif %}"""


def row(
    identity: str, prompt: Request, chosen: str, *rejected: str, group: str = ""
) -> PreferenceRow:
    rivals = tuple(Rejected("rejected", text) for text in rejected)
    return PreferenceRow(identity, group or identity, prompt, chosen, rivals)


def model(
    *,
    template: str = TEMPLATE,
    max_tokens: int = 64,
    pad_is_eos: bool = False,
    adds_bos: bool = False,
) -> tuple[Encoder, ModelFacts]:
    tokenizer = make_tokenizer(template=template, pad_is_eos=pad_is_eos, adds_bos=adds_bos)
    encoder = Encoder(tokenizer, max_tokens=max_tokens, pad_id=None)
    return encoder, ModelFacts(tokenizer, head_trainable=True, pad_id=tokenizer.pad_token_id)


ROWS = [
    row("r1", "What is 2 + 2?", "It is 4.", "It is 5."),
    row("r2", "Name a prime.", "Two", "Nine, of course", "4"),
]
EVALUATION = [row("e1", "Name an even number.", "Two", "One")]
