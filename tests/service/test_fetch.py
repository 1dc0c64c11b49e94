"""A release comes whole and as it was asked for, or not at all."""

import functools
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reward_model.release.release import MANIFEST, open_release, sha256
from service.fetch import FetchError, fetch
from tests.releases import make_release


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("published") / "release")


@pytest.fixture
def url(published: Path) -> Iterator[str]:
    """The release behind a real web server."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    handler = functools.partial(Quiet, directory=str(published))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_it_comes_over_http_and_is_the_same(url: str, published: Path, tmp_path: Path) -> None:
    target = tmp_path / "models" / "release"
    fetch(url, target, sha256(published / MANIFEST))
    assert open_release(target).version == open_release(published).version
    assert [path.name for path in target.parent.iterdir()] == ["release"]


def test_the_second_time_nothing_is_asked(published: Path, tmp_path: Path) -> None:
    hash_ = sha256(published / MANIFEST)
    fetch(published.as_uri(), tmp_path / "release", hash_)
    fetch("file:///nowhere", tmp_path / "release", hash_)


def test_another_release_than_the_one_asked_for_is_refused(published: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="not the one asked for"):
        fetch(published.as_uri(), tmp_path / "release", "0" * 64)
    assert not (tmp_path / "release").exists()


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"other")])
def test_a_file_that_is_missing_or_changed_is_refused(damage: object, tmp_path: Path) -> None:
    source = make_release(tmp_path / "source")
    assert callable(damage)
    damage(source / "tokenizer.json")
    with pytest.raises(FetchError, match=r"tokenizer\.json"):
        fetch(source.as_uri(), tmp_path / "release", sha256(source / MANIFEST))
    assert not (tmp_path / "release").exists()


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service.fetch", "file:///nowhere", str(tmp_path / "release")]
    run = subprocess.run(
        [*command, "--sha256", "0" * 64], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr.startswith("cannot fetch file:///nowhere/release.json: cannot be read")
