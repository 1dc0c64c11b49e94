"""The prompts with which the describer and the answering models are asked, zero-shot.

A recipe may replace them.
"""

from trainer.pipeline.stage import StageError

DESCRIBE = """\
Below is a piece of {language} code. First work out, for yourself, what it is meant for and what \
exactly it does: its inputs, its result, its side effects and how it treats unusual cases.

Then write the request that a programmer would have to be given in order to write it. State the \
purpose and the behaviour so completely that somebody who never sees this code can write code that \
does the same. Name functions, arguments and classes only where a caller would have to know their \
names. Do not explain how it is done, do not quote the code, do not mention that there is code.

Answer with the text of the request alone.

```{language}
{code}
```"""

ANSWER = """\
{request}

Write it in {language}. Answer with the code alone, complete, in one fenced block."""


def render(template: str, **values: str) -> str:
    """The template with its `{names}` replaced; braces within the values stay as they are.

    Raises:
        StageError: the template names something else.
    """
    try:
        return template.format(**values)
    except (KeyError, IndexError, ValueError) as error:
        names = ", ".join(f"{{{name}}}" for name in values)
        raise StageError(
            f"a template may name {names}; write other braces twice, as in {{{{ ({error})"
        ) from error


def require_placeholder(template: str, name: str) -> None:
    """Refuse a template without `{name}`: the model would not see what it is asked about."""
    if f"{{{name}}}" not in template:
        raise StageError(f"the template has no {{{name}}}: {template[:60]!r}")
