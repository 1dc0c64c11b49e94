"""States of the playground, and the fragments of links that hold them."""

import base64
import json
import zlib

Json = dict[str, object]

STATE: Json = {
    "turns": [{"role": "user", "content": "Write add(a, b)."}],
    "candidates": ["def add(a, b):\n    return a + b", "def add(a, b): pass", "no"],
    "mode": "one",
    "modelA": "",
    "modelB": "",
    "weights": {},
    "overLength": "error",
    "steps": "none",
    "delimiter": "",
}

# Texts that would do something if they were read as HTML, shell, Python or an escape of one.
HOSTILE = [
    "<img src=x onerror=alert(1)><script>alert(2)</script></textarea></template>",
    "'; touch /tmp/owned; echo '",
    "$(touch owned) `touch owned` ${HOME} !! !$ \\",
    '"""; raise SystemExit(3) #',
    "'''\\'\\\\' \\n \\u0041 %s {0}",
    "@/etc/passwd",
    "line\n\n  two\ttab\n",
    "\u202eright to left \u2066\u200b \x1b[31m \x7f",
    "é 漢字 😀 \U000e0041",
    "\u2028\u2029\ufeff\x00",
]

# Half a surrogate pair, which JSON can hold and UTF-8 cannot. The Python client refuses it.
HALF = "half \ud800"


def fragment(**changes: object) -> str:
    """The fragment of a link to the state with these changes."""
    return pack(json.dumps(STATE | changes).encode())


def pack(content: bytes) -> str:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(content) + packer.flush()
    return "#v1=" + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def unpack(link: str) -> object:
    _, _, packed = link.partition("#v1=")
    padded = packed + "=" * (-len(packed) % 4)
    return json.loads(zlib.decompress(base64.urlsafe_b64decode(padded), wbits=-15))
