"""How the source reads, as figures: rooms, the files one request enters, helpers, comments, names.

    python -m benchmarks.structure [--before CHECKOUT --before-walk FILES CHANGES] [--write]

Figures to steer by, not targets of their own: where one fights readability, readability wins and
the page says so. `--before` measures an older checkout beside this one. A walk runs in this
checkout only, because it starts the service; what it gave in the older one is passed in.
"""

import argparse
import ast
import io
import os
import re
import signal
import sys
import threading
import time
import tokenize
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import FrameType

import httpx

from benchmarks.harness.page import Page, add_output_options
from benchmarks.harness.processes import free_port
from reward_model.packing import Sequence
from service.__main__ import serve
from service.scoring.model import Model, open_model
from service.settings import Settings
from tests.service.fakes import FakeEngine

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("reward_model", "service", "trainer", "client")
DISTRIBUTIONS = {"codepmp": ("reward_model", "service", "trainer"), "codepmp-client": ("client",)}
SHORT, LONG = 4, 60  # lines of a helper better inlined, and of a function that is too long
RIDDLE = re.compile(r"(Of|What|By which|Who|Whose)\b")
PAUSE = 0.5  # seconds
FOR_TOOLS = re.compile(r"#\s*(noqa|type:|fmt:|pragma|!)")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file: its path below the root, its text and its syntax tree."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.path.parts[0]

    @property
    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @property
    def comments(self) -> int:
        """Lines with a comment that speaks to a reader rather than to a tool."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        comments = [token for token in tokens if token.type == tokenize.COMMENT]
        return sum(not FOR_TOOLS.match(token.string) for token in comments)

    @property
    def notes(self) -> list[str]:
        """Docstrings, and the strings that stand below constants and fields."""
        expressions = (node.value for node in ast.walk(self.tree) if isinstance(node, ast.Expr))
        values = (node.value for node in expressions if isinstance(node, ast.Constant))
        return [value for value in values if isinstance(value, str)]


def read_sources(root: Path, packages: tuple[str, ...] = PACKAGES) -> list[Source]:
    """All Python files of the packages, by path."""
    paths = sorted(path for name in packages for path in (root / name).rglob("*.py"))
    texts = [(path.relative_to(root), path.read_text("utf-8")) for path in paths]
    return [Source(path, text, ast.parse(text)) for path, text in texts]


def is_private(function: Function) -> bool:
    return function.name.startswith("_") and not function.name.startswith("__")


def line_count(function: Function) -> int:
    """Lines of a function with its signature and docstring, without its decorators."""
    return (function.end_lineno or 0) - function.lineno + 1


def called_once(source: Source) -> list[Function]:
    """Private functions that their file names exactly once besides defining them."""
    words = Counter(re.findall(r"\w+", source.text))
    return [one for one in source.functions if is_private(one) and words[one.name] == 2]


def repeated_types(sources: list[Source]) -> dict[str, list[Path]]:
    """Names of module-level classes that two modules of one distribution define."""
    homes: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for name, packages in DISTRIBUTIONS.items():
        for source in sources:
            if source.package in packages:
                for node in source.tree.body:
                    if isinstance(node, ast.ClassDef):
                        homes[name, node.name].append(source.path)
    return {name: paths for (_, name), paths in sorted(homes.items()) if len(paths) > 1}


def untested(root: Path, sources: list[Source]) -> list[Path]:
    """Modules with functions that no test file mirrors by place and name."""
    found = []
    for source in sources:
        place = Path("tests", *[part for part in source.path.parts if part != "codepmp_client"])
        has_test = (root / place.with_name(f"test_{source.path.name}")).exists()
        special = source.path.name in ("__init__.py", "__main__.py")
        if source.functions and not special and not has_test:
            found.append(source.path)
    return found


def figures(root: Path) -> dict[str, float]:
    """All that is measured without running anything."""
    sources = read_sources(root)
    functions = [function for source in sources for function in source.functions]
    once = [function for source in sources for function in called_once(source)]
    lines = sum(source.text.count("\n") for source in sources)
    return {
        "lines of source": lines,
        "functions": len(functions),
        "private functions, %": 100 * sum(map(is_private, functions)) / len(functions),
        "private functions called once": len(once),
        f"of those, of at most {SHORT} lines": sum(line_count(one) <= SHORT for one in once),
        f"functions over {LONG} lines": sum(line_count(one) > LONG for one in functions),
        "comment lines, %": 100 * sum(source.comments for source in sources) / lines,
        "notes that begin with Of, What, By which, Who": sum(
            bool(RIDDLE.match(note)) for source in sources for note in source.notes
        ),
        "type names in two modules of a distribution": len(repeated_types(sources)),
        "modules with functions and no test of their name": len(untested(root, sources)),
    }


def rooms(root: Path) -> Counter[str]:
    """Files of each room, `__init__` left out."""
    sources = read_sources(root, (*PACKAGES, "benchmarks"))
    paths = [source.path for source in sources if source.path.name != "__init__.py"]
    return Counter(str(path.parent) for path in paths)


class _Walk:
    """Records which of our files one request enters, in the order of the calls."""

    def __init__(self) -> None:
        self.active = False
        self.files: list[str] = []

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        file = frame.f_code.co_filename
        if self.active and event == "call" and file.startswith(f"{ROOT}{os.sep}"):
            relative = file.removeprefix(f"{ROOT}{os.sep}")
            if relative.startswith(PACKAGES):
                self.files.append(relative)


class _Instant(FakeEngine):
    facts = replace(FakeEngine.facts, max_tokens=1024)

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        return [[0.0 for _ in sequence.read_at] for sequence in batch]


def walk() -> tuple[list[str], int]:
    """Files that one `POST /v1/score` enters over a real socket, around an engine that is none.

    Returns:
        The distinct files in order of first entry, and how often a call went to another file than
        the call before it, resumptions of coroutines included.
    """
    profile = _Walk()
    port = free_port()

    def open_fake(settings: Settings) -> Model:
        model = open_model(settings)
        return replace(model, release=replace(model.release, golden=()), engine=_Instant())

    def ask(*candidates: str) -> None:
        body = {"inputs": [{"prompt": "Add two numbers.", "candidates": candidates}]}
        httpx.post(f"http://127.0.0.1:{port}/v1/score", json=body, timeout=60).raise_for_status()

    def client() -> None:
        sys.setprofile(None)  # only what the server does counts
        transport = httpx.HTTPTransport(retries=20)
        with httpx.Client(transport=transport, base_url=f"http://127.0.0.1:{port}") as http:
            while http.get("/readyz").is_error:
                time.sleep(0.05)
        # A request is logged and counted after its answer was sent: the pauses keep the first
        # request's end out of the walk, and the second one's in it.
        ask("the first", "request")
        time.sleep(PAUSE)
        profile.active = True
        ask("a + b", "a - b")
        time.sleep(PAUSE)
        profile.active = False
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=client).start()
    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        serve(Settings(port=port, device="cpu", log_level="error"), open_fake)
    except SystemExit:
        pass  # how serving ends
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    changes = sum(before != after for before, after in pairwise(profile.files))
    return list(dict.fromkeys(profile.files)), changes


def main() -> None:
    options = _options()
    page = Page("structure", "How the source reads")
    files, changes = walk()
    now = {**figures(ROOT), "files entered": len(files), "changes of file": changes}
    before: dict[str, float] = {}
    if options.before:
        entered = dict(zip(["files entered", "changes of file"], options.before_walk, strict=True))
        before = {**figures(options.before), **entered}
    aims = {
        "private functions, %": "<= 20",
        f"of those, of at most {SHORT} lines": "<= 15",
        f"functions over {LONG} lines": "0",
        "comment lines, %": ">= 3",
        "notes that begin with Of, What, By which, Who": "0",
        "type names in two modules of a distribution": "0",
        "modules with functions and no test of their name": "0",
        "files entered": "<= 22",
        "changes of file": "<= 100",
    }
    page.table(
        ["", "before", "now", "aim"],
        [[name, before.get(name, ""), value, aims.get(name, "")] for name, value in now.items()],
    )
    page.say(
        "Files entered and changes of file are of one `POST /v1/score` with two candidates over a "
        "real socket, recorded by `sys.setprofile` on all threads, around a fake engine."
    )
    page.say("It enters, in order: " + ", ".join(f"`{file}`" for file in files) + ".")
    page.table(["room", "files"], sorted(rooms(ROOT).items()))
    page.facts = {"now": now, "before": before, "walk": files, "rooms": rooms(ROOT)}
    page.write(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structure", description=__doc__)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="measure this one, too")
    parser.add_argument("--before-walk", type=int, nargs=2, default=(0, 0), metavar="N")
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
