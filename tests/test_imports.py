"""The order of rooms and the homes of heavy libraries, read from the sources themselves."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Distributions and what each may import of the others. What two of them need moves down into
# reward_model.
MAY_IMPORT = {
    "reward_model": set[str](),
    "service": {"reward_model"},
    "trainer": {"reward_model", "codepmp_client"},
    "client": set[str](),
}
# What a distribution is imported as, where that is not its folder's name.
PACKAGE = {"client": "codepmp_client"}

# The rooms of each package from top to bottom: a room imports only those on lines below its own.
# Rooms on one line are side by side and do not know each other. A name may be a single file.
ROOMS = {
    "reward_model": """
        network
        encoders
        cpu selfcheck positions
        attention release
        text
        packing compiled_files
    """,
    "service": """
        __main__ keys fetch default_model
        app admin check completion
        http
        routes
        service
        telemetry
        models
        scoring
        auth scheduling
        engines
        errors settings logs allocator
        files
    """,
    "trainer": """
        __main__
        completion
        cli
        commands
        autoconfig
        planning recipes
        policy
        feedback
        publishing synthesis
        evaluation training
        preferences
        history
        pairs
        corpus
        tables
        pipeline
    """,
    "benchmarks": """
        gpu_day
        cost overhead training
        serving overload rolling_update claim claim_backbone real_samples autoscaling
        harness
        inputs
    """,
}

TORCH = {
    "reward_model/*.py",
    "reward_model/attention/*.py",
    "reward_model/cpu/*.py",
    "reward_model/release/*.py",
    "service/engines/*.py",
    "trainer/training/*.py",
    "trainer/training/*/*.py",
    "trainer/synthesis/generators.py",
    "trainer/publishing/adapter.py",
    "trainer/publishing/publish.py",
    "trainer/autoconfig/base.py",
    "trainer/autoconfig/machine.py",
    "trainer/policy/*.py",
}
# Everything else starts in milliseconds and is tested with a fake engine.
HEAVY = {
    "torch": TORCH,
    "transformers": TORCH,
    "peft": {
        "reward_model/release/lora_merge.py",
        "trainer/publishing/adapter.py",
        "trainer/training/weights/lora.py",
    },
    "vllm": {"service/engines/vllm_engine.py"},
    "opentelemetry": {"service/telemetry/traces.py"},
    "openai": {"trainer/synthesis/endpoint.py"},
    "ray": {"trainer/synthesis/ray_engine.py", "client/codepmp_client/bulk/ray_data.py"},
}


def imported_by(source: str) -> Iterator[str]:
    """Full names of all absolute imports, also of those inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def imports_of(folder: str) -> Iterator[tuple[Path, str]]:
    """Each file of a folder with each name that it imports."""
    for path in (ROOT / folder).rglob("*.py"):
        for name in imported_by(path.read_text("utf-8")):
            yield path.relative_to(ROOT), name


def files_that_import(package: str, folder: str) -> set[Path]:
    return {path for path, name in imports_of(folder) if name.partition(".")[0] == package}


def test_the_reader_sees_imports_at_any_depth() -> None:
    source = "import a.b, c\nfrom d.e import f\nfrom . import g\ndef h():\n    import i as j\n"
    assert list(imported_by(source)) == ["a.b", "c", "d.e.f", "i"]


@pytest.mark.parametrize("distribution", MAY_IMPORT)
def test_distributions_import_only_downwards(distribution: str) -> None:
    for other in MAY_IMPORT.keys() - {distribution}:
        package = PACKAGE.get(other, other)
        if package not in MAY_IMPORT[distribution]:
            assert not files_that_import(package, distribution), f"{distribution} imports {package}"


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_only_the_rooms_below_them(package: str) -> None:
    floors = [line.split() for line in ROOMS[package].split("\n") if line.strip()]
    floor_of = {room: number for number, rooms in enumerate(floors) for room in rooms}
    strays = []
    for path, name in imports_of(package):
        room = path.with_suffix("").parts[1]
        other = name.split(".")[1] if name.startswith(f"{package}.") else room
        # Programs of benchmarks stand at the top, and are not listed one by one.
        if other != room and floor_of.get(room, -1) >= floor_of.get(other, -1):
            strays.append(f"{path} imports {name}")
    assert not strays


@pytest.mark.parametrize("package", ["reward_model", "service", "trainer"])
def test_every_room_is_listed_and_says_what_it_is(package: str) -> None:
    rooms = {path.with_suffix("").name for path in (ROOT / package).glob("*")} - {"__init__"}
    assert rooms - {"__pycache__", "py"} == set(ROOMS[package].split())
    for init in chain((ROOT / package).rglob("__init__.py")):
        sentence = ast.get_docstring(ast.parse(init.read_text("utf-8")))
        assert sentence, f"{init.relative_to(ROOT)} does not say what its room is for"


def test_the_client_needs_httpx_alone() -> None:
    """Except for the command line, whose extras bring more."""
    bulk = Path("client/codepmp_client/bulk")
    imported = {
        name.partition(".")[0] for path, name in imports_of("client") if bulk not in path.parents
    }
    assert imported - set(sys.stdlib_module_names) == {"httpx", "codepmp_client"}


@pytest.mark.parametrize("library", HEAVY)
def test_heavy_libraries_stay_in_their_rooms(library: str) -> None:
    found = {path for folder in MAY_IMPORT for path in files_that_import(library, folder)}
    strays = {path for path in found if not any(path.match(allowed) for allowed in HEAVY[library])}
    assert not strays, f"{library} belongs in {sorted(HEAVY[library])}"


@pytest.mark.parametrize(
    "module", ["service.scheduling.batcher", "service.scoring.scorer", "service.app"]
)
def test_the_way_to_the_engine_costs_no_torch(module: str) -> None:
    """Nor does what they import: no engine is loaded before it is chosen."""
    script = f"import sys, {module}; print(*sys.modules.keys() & {{'torch', 'transformers'}})"
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    assert run.stdout.split() == []


def test_every_place_of_a_heavy_library_is_there() -> None:
    places = set(chain.from_iterable(HEAVY.values()))
    assert [name for name in sorted(places) if not list(ROOT.glob(name))] == []
