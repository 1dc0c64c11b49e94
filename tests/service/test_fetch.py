"""A release comes whole and as it was asked for, or not at all."""

import functools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from reward_model.release.release import MANIFEST, open_release, sha256
from service.fetch import FetchError, download, fetch
from tests.releases import make_release


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("published") / "release")


class Site(SimpleHTTPRequestHandler):
    """A plain web server, which knows no ranges. It notes what is asked for."""

    asked: ClassVar[list[str]] = []
    cut: ClassVar[str] = ""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path != self.cut:
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True


@contextmanager
def web_site(folder: Path, cut: str = "") -> Iterator[tuple[str, list[str]]]:
    """The address of a folder behind a real web server, and the paths that were asked for."""
    asked: list[str] = []
    site = type("ThisSite", (Site,), {"asked": asked, "cut": cut})
    handler = functools.partial(site, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


@pytest.fixture
def url(published: Path) -> Iterator[str]:
    with web_site(published) as (address, _):
        yield address


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


def test_a_hash_in_capitals_is_the_same_hash(url: str, published: Path, tmp_path: Path) -> None:
    fetch(url, tmp_path / "release", sha256(published / MANIFEST).upper())
    assert (tmp_path / "release" / MANIFEST).exists()


def test_a_web_server_without_ranges_sends_files_of_any_size(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "large").write_bytes(b"x" * 6 * 2**20)
    with web_site(tmp_path / "site") as (url, asked):
        download(f"{url}/large", tmp_path / "copy", sha256(tmp_path / "site" / "large"))
    assert (tmp_path / "copy").stat().st_size == 6 * 2**20
    assert asked == ["/large"]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"junk")])
def test_a_damaged_folder_is_fetched_again(
    url: str, published: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    hash_ = sha256(published / MANIFEST)
    fetch(url, tmp_path / "release", hash_)
    damage(tmp_path / "release" / "model.safetensors")
    fetch(url, tmp_path / "release", hash_)
    assert open_release(tmp_path / "release").golden


def test_a_connection_that_is_cut_keeps_what_came_whole(published: Path, tmp_path: Path) -> None:
    hash_ = sha256(published / MANIFEST)
    with (
        web_site(published, cut="/tokenizer.json") as (url, _),
        pytest.raises(FetchError, match=r"tokenizer\.json: cannot be read"),
    ):
        fetch(url, tmp_path / "release", hash_)
    assert not (tmp_path / "release.part" / "tokenizer.json").exists()
    with web_site(published) as (url, asked):
        fetch(url, tmp_path / "release", hash_)
    assert "/tokenizer.json" in asked
    assert len(asked) < len(list(published.iterdir()))
    assert open_release(tmp_path / "release").golden


def test_what_differs_is_not_kept(published: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="not the one asked for"):
        fetch(published.as_uri(), tmp_path / "release", "0" * 64)
    assert not any((tmp_path / "release.part").iterdir())


def test_files_of_an_earlier_attempt_at_another_release_are_removed(
    published: Path, tmp_path: Path
) -> None:
    draft = tmp_path / "release.part"
    draft.mkdir()
    (draft / "model-00001-of-00002.safetensors").write_bytes(b"of another release")
    fetch(published.as_uri(), tmp_path / "release", sha256(published / MANIFEST))
    names = {path.name for path in (tmp_path / "release").iterdir()}
    assert names == {path.name for path in published.iterdir()}


def test_a_target_that_cannot_be_made_is_said_in_a_sentence(
    published: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("text")
    hash_ = sha256(published / MANIFEST)
    for target in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "full"):
        with pytest.raises(FetchError, match=f"to {target}: "):
            fetch(published.as_uri(), target, hash_)
    assert (tmp_path / "full" / "mine").read_text() == "text"


@pytest.mark.parametrize("hash_", ["", "abc", "0" * 63, "g" * 64])
def test_a_hash_that_is_none_is_refused(published: Path, tmp_path: Path, hash_: str) -> None:
    with pytest.raises(FetchError, match="64 hexadecimal digits"):
        fetch(published.as_uri(), tmp_path / "release", hash_)
