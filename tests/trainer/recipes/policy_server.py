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
    bodies = ["return a + b"] * 6 + [f"return a - b - {bad}" for bad in range(6, 10)]
    programs = [f"```python\ndef add(a, b):\n    {body}\n```" for body in bodies]
    # A message of the assistant's to go on with stands behind the request.
    beginnings = [program[:end] for program in programs for end in range(len(program))]
    begun = max((each for each in beginnings if prompt.endswith(each)), key=len)
    possible = [program for program in programs if program.startswith(begun)]
    return possible[luck % len(possible)][len(begun) :]


if __name__ == "__main__":
    Server(reply, [], int(sys.argv[sys.argv.index("--port") + 1])).serve_forever()
