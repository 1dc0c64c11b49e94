"""How the describer and the answering models are asked, zero-shot, unless a recipe words it."""

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


def fill(template: str, **facts: str) -> str:
    """The template with its `{names}` filled in; braces inside of what is filled in stay.

    Raises:
        StageError: the template names something else.
    """
    try:
        return template.format(**facts)
    except (KeyError, IndexError, ValueError) as error:
        named = ", ".join(f"{{{name}}}" for name in facts)
        raise StageError(
            f"a template may name {named}, and writes other braces twice: {error}"
        ) from error


def require(template: str, name: str) -> None:
    """Refuse a template that does not show what it is about."""
    if f"{{{name}}}" not in template:
        raise StageError(f"the template shows no {{{name}}}: {template[:60]!r}")
