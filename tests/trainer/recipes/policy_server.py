"""Stands in for vLLM's command line: answers as a policy that is right for some seeds.

A test names a script that starts this as the interpreter of `ServerConfig`.
"""

import hashlib
import re
import sys

from tests.trainer.synthesis.server import Server


def reply(prompt: str, seed: int | None) -> str:
    """Calls where inputs are asked for; else a program or an answer, right in 6 of 10 samples."""
    if "different calls of" in prompt:
        return "```python\n" + "\n".join(f"add({n}, {n + 1})" for n in range(10)) + "\n```"
    luck = hashlib.sha256(f"{prompt} {seed}".encode()).digest()[0] % 10
    if found := re.search(r"What is (\d+) plus (\d+)", prompt):
        right = int(found[1]) + int(found[2])
        return f"I add them.\nThe answer is \\boxed{{{right if luck < 6 else right + 1 + luck}}}."
    body = "return a + b" if luck < 6 else f"return a - b - {luck}"
    return f"```python\ndef add(a, b):\n    {body}\n```"


if __name__ == "__main__":
    Server(reply, [], int(sys.argv[sys.argv.index("--port") + 1])).serve_forever()
