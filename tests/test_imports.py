"""The import rule of docs/architecture.md, read from the sources themselves."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A room may import itself and these. What two rooms need moves down into reward_model.
MAY_IMPORT = {
    "reward_model": set[str](),
    "service": {"reward_model"},
    "trainer": {"reward_model"},
    "client": set[str](),
}
# What a room is imported as, where that is not its folder's name.
PACKAGE = {"client": "codepmp_client"}
MODEL_FILES = {
    "reward_model/attention.py",
    "reward_model/flex.py",
    "reward_model/linear.py",
    "reward_model/fused.py",
    "reward_model/heads.py",
    "reward_model/branches.py",
    "reward_model/checkpoint.py",
    "reward_model/encoders.py",
    "reward_model/merging.py",
    "reward_model/network.py",
    "reward_model/positions.py",
    "reward_model/selfcheck.py",
    "reward_model/stretches.py",
    "reward_model/texts.py",
    "reward_model/tree.py",
    "reward_model/tree_kernel.py",
    "service/engines/*.py",
    "trainer/training/*.py",
    "trainer/publishing/publish.py",
}
# Everything else starts in milliseconds and is tested with a fake engine.
HEAVY = {
    "torch": MODEL_FILES,
    "transformers": MODEL_FILES,
    "peft": {"reward_model/merging.py", "trainer/training/lora.py"},
    "vllm": {"service/engines/vllm_engine.py"},
    "opentelemetry": {"service/traces.py"},
    "openai": {"trainer/synthesis/endpoint.py"},
    "ray": {"trainer/synthesis/fleet.py"},
}


def imported_by(source: str) -> Iterator[str]:
    """Top-level names of all absolute imports, also of those inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


def files_that_import(name: str, room: str) -> set[Path]:
    sources = {path: path.read_text("utf-8") for path in (ROOT / room).rglob("*.py")}
    return {path.relative_to(ROOT) for path in sources if name in imported_by(sources[path])}


def test_the_reader_sees_imports_at_any_depth() -> None:
    source = "import a.b, c\nfrom d.e import f\nfrom . import g\ndef h():\n    import i as j\n"
    assert list(imported_by(source)) == ["a", "c", "d", "i"]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_only_downwards(room: str) -> None:
    for other in MAY_IMPORT.keys() - MAY_IMPORT[room] - {room}:
        package = PACKAGE.get(other, other)
        assert not files_that_import(package, room), f"{room} must not import {package}"


def test_the_client_needs_httpx_alone() -> None:
    sources = (ROOT / "client").rglob("*.py")
    imported = {name for path in sources for name in imported_by(path.read_text("utf-8"))}
    assert imported - set(sys.stdlib_module_names) == {"httpx", "codepmp_client"}


@pytest.mark.parametrize("library", HEAVY)
def test_heavy_libraries_stay_in_their_files(library: str) -> None:
    found = {path for room in MAY_IMPORT for path in files_that_import(library, room)}
    strays = {path for path in found if not any(path.match(allowed) for allowed in HEAVY[library])}
    assert not strays, f"{library} belongs in {sorted(HEAVY[library])}"


@pytest.mark.parametrize("module", ["service.batcher", "service.scorer"])
def test_the_way_to_the_engine_costs_no_torch(module: str) -> None:
    """Nor does what they import: no engine is loaded before it is chosen."""
    script = f"import sys, {module}; print(*sys.modules.keys() & {set(HEAVY)})"
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    assert run.stdout.split() == []


def test_every_file_that_may_be_heavy_is_there() -> None:
    assert [name for name in sorted(MODEL_FILES) if not list(ROOT.glob(name))] == []
