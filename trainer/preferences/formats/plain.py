"""Texts of preference data that are no plain texts: messages written as text, rendered templates.

Such a text would stand in a turn as letters that no server ever sends, so a row with one is left
out, with what to do about it.
"""

import re

from trainer.tables.record import Record, Unusable, text_of

# The beginning of an object, perhaps in a list, in the JSON or the Python of a list of messages.
# JSON that was written as text twice has backslashes before its quotes.
_OBJECT = re.compile(r"""[\s"'(\[]*(?:array\()?[\s"'(\[]*\{\s*\\*["']\w+\\*["']\s*:""")
_SPEAKER = re.compile(
    r"""\\*["'](?:role|from)\\*["']\s*:\s*\\*["']
    (?:user|assistant|system|developer|tool|function|human|gpt|bot|model|observation)\\*["']""",
    re.VERBOSE,
)
_SPOKEN = re.compile(r"""\\*["'](?:content|value|tool_calls|function_call)\\*["']\s*:""")
_INSTANCE = re.compile(r"""[\s"'(\[]*\w*Message\w*\((?:role|content)=""")

# A control token of nearly every chat template: <|im_start|>, <|eot_id|>, <start_of_turn>, [INST]
# and their kin. The last one of DeepSeek's is written with a full-width bar.
_CONTROL = r"""(?: <[|\uff5c][^<>\s]{1,40}[|\uff5c]> | <(?:start|end)_of_turn> | <\|turn> | <turn\|>
    | \[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS)\] | <bos> | <eos> )"""
_BEGINS_RENDERED = re.compile(rf"(?:<s>\s?)?{_CONTROL}", re.VERBOSE)
_ENDS_RENDERED = re.compile(rf"{_CONTROL} \s? (?:assistant|model)? \Z", re.VERBOSE)

# Characters at either end that the patterns for them look at: a text may be a megabyte of spaces.
_EDGE = 200

# A whole transcript: it begins with a speaker and ends where the assistant should go on.
_TRANSCRIPT = re.compile(
    r"""(?:\#\#\#\ )?(?:system|human|user|instruction|below\sis\san\sinstruction)\b .*
    ^(?:\#\#\#\ )?(?:assistant|response|ai|bot)\ ?:\Z""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL | re.MULTILINE,
)


def plain(text: str, column: str) -> str:
    """The text of a column as it is.

    Raises:
        Unusable: it is messages that were written as text, or a conversation that was rendered.
    """
    if reason := not_plain(text):
        raise Unusable(f"{column} {reason}")
    return text


def plain_text_of(record: Record, column: str) -> str:
    """The plain text in a column; Unusable if it holds anything else."""
    return plain(text_of(record, column), column)


def not_plain(text: str) -> str:
    """Say why a text is no plain one and what to do about it; empty for a plain one."""
    stripped = text.strip()
    begin, end = stripped[:_EDGE], stripped[-_EDGE:]
    if _OBJECT.match(begin) and _SPEAKER.search(text) and _SPOKEN.search(text):
        return "holds messages that were written as text: parse them first"
    if _INSTANCE.match(begin):
        return "holds messages that were written as text: give them as objects of role and content"
    # A prompt that asks about a control token neither begins nor ends with one.
    # In HTML, <s> strikes out what </s> ends.
    unopened = end.endswith("</s>") and text.count("<s>") < text.count("</s>")
    if _BEGINS_RENDERED.match(begin) or _ENDS_RENDERED.search(end) or unopened:
        return (
            "is already rendered by a chat template: give the messages, or the texts without the "
            "template"
        )
    if _TRANSCRIPT.match(stripped):
        return "is a transcript with names of speakers: give the messages, or the question alone"
    return ""
