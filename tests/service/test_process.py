"""Real processes: what is printed, what signals do, how it exits."""

import asyncio
import contextlib
import json
import os
import pty
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import torch

from tests.checkpoints import make_checkpoint

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60
"""Seconds; only a broken service needs them."""


@dataclass
class Process:
    process: asyncio.subprocess.Process
    log: Path
    curl: str = ""
    url: str = ""

    async def line(self) -> str:
        assert self.process.stdout
        raw = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)
        assert raw, self.log.read_text()
        return raw.decode()

    async def ready(self) -> None:
        ready = json.loads(await self.line())
        (self.url,) = re.findall(r"(http://\S+)/docs", ready["message"])
        self.curl = ready["try"]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=PATIENCE, trust_env=False)

    def go_on(self) -> None:
        assert self.process.stdin
        self.process.stdin.write(b"\n")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def exit_code(self) -> int:
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


@asynccontextmanager
async def started(
    tmp_path: Path, module: str, *flags: str, preexec_fn: Callable[[], None] | None = None
) -> AsyncIterator[Process]:
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module, "--port", "0", *flags),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            preexec_fn=preexec_fn,
        )
    try:
        yield Process(process, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def gated(tmp_path: Path, *flags: str) -> AbstractAsyncContextManager[Process]:
    return started(tmp_path, "tests.service.gated_service", *flags)


async def score(client: httpx.AsyncClient, candidate: str) -> httpx.Response:
    body = {"inputs": [{"prompt": "prompt", "candidates": [candidate]}]}
    return await client.post("/v1/score", json=body)


async def until_draining(client: httpx.AsyncClient) -> None:
    while (await client.get("/readyz")).status_code == 200:
        pass


async def test_sigterm_finishes_what_was_admitted_and_refuses_the_rest(tmp_path: Path) -> None:
    flags = ("--drain-seconds", "55", "--drain-grace-seconds", "0")
    async with gated(tmp_path, *flags) as service:
        await service.ready()
        async with (
            service.client() as busy,
            service.client() as kept_alive,
            service.client() as newcomer,
        ):
            running = asyncio.create_task(score(busy, "running"))
            assert await service.line() == "batch\n"
            queued = [asyncio.create_task(score(busy, "x" * n)) for n in range(1, 6)]
            while 'reward_queue_items{priority="interactive"} 6.0' not in (
                (await kept_alive.get("/metrics")).text
            ):
                pass
            service.terminate()
            await until_draining(kept_alive)
            refused = [await score(kept_alive, "late"), await score(newcomer, "late")]
            service.go_on()
            assert await service.line() == "batch\n"
            service.go_on()
            answers = [await running, *await asyncio.gather(*queued)]
        assert await service.exit_code() == 0
    assert [answer.status_code for answer in answers] == [200] * 6
    assert [answer.status_code for answer in refused] == [503] * 2
    assert {answer.json()["error"]["code"] for answer in refused} == {"draining"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert "Traceback" not in service.log.read_text()


async def test_connections_that_are_kept_open_move_elsewhere_and_none_is_refused(
    tmp_path: Path,
) -> None:
    flags = ("--drain-seconds", "55", "--drain-grace-seconds", "50")
    async with gated(tmp_path, *flags) as service:
        await service.ready()
        async with service.client() as busy, service.client() as kept_alive:
            running = asyncio.create_task(score(busy, "running"))
            assert await service.line() == "batch\n"
            assert (await kept_alive.get("/readyz")).headers.get("connection") is None
            service.terminate()
            await until_draining(kept_alive)
            late = asyncio.create_task(score(kept_alive, "late"))
            # Once no connection is left the service refuses, so the late one must be there first.
            async with service.client() as watcher:
                while 'reward_queue_items{priority="interactive"} 2.0' not in (
                    (await watcher.get("/metrics")).text
                ):
                    pass
            service.go_on()
            assert await service.line() == "batch\n"
            service.go_on()
            answers = [await running, await late]
            # Nothing holds a connection any more, so the rest of the time is not waited for.
            assert await service.exit_code() == 0
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.headers["connection"] for answer in answers] == ["close", "close"]


async def test_sigint_waits_for_no_idle_connection(tmp_path: Path) -> None:
    flags = ("--drain-seconds", "55", "--drain-grace-seconds", "50")
    async with gated(tmp_path, *flags) as service:
        await service.ready()
        async with service.client() as client:
            assert (await client.get("/healthz")).status_code == 200
            service.process.send_signal(signal.SIGINT)
            assert await service.exit_code() == 0


async def test_requests_that_never_cease_do_not_hold_up_the_end(tmp_path: Path) -> None:
    async with gated(tmp_path, "--drain-grace-seconds", "0") as service:
        await service.ready()
        async with service.client() as busy, service.client() as insistent:
            running = asyncio.create_task(score(busy, "running"))
            assert await service.line() == "batch\n"
            service.terminate()
            knocking = [asyncio.create_task(until_gone(insistent)) for _ in range(8)]
            await asyncio.wait(knocking, timeout=0.3)
            service.go_on()
            assert (await running).status_code == 200
            assert await service.exit_code() == 0
            assert {
                status for statuses in await asyncio.gather(*knocking) for status in statuses
            } <= {
                200,
                503,
            }


async def test_an_upload_that_stalls_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with gated(tmp_path, "--drain-grace-seconds", "0.2") as service:
        await service.ready()
        host, port = service.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/score HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n{")
        await writer.drain()
        async with service.client() as client:
            assert (await client.get("/healthz")).status_code == 200
        service.terminate()
        assert await service.exit_code() == 0
        writer.close()


async def until_gone(client: httpx.AsyncClient) -> set[int]:
    """Ask again at once, whatever the answer."""
    statuses = set()
    with contextlib.suppress(httpx.TransportError):
        while True:
            statuses.add((await score(client, "late")).status_code)
    return statuses


async def test_what_the_drain_cannot_finish_is_told_so_and_the_process_exits_with_1(
    tmp_path: Path,
) -> None:
    async with gated(tmp_path, "--drain-seconds", "0.1") as service:
        await service.ready()
        async with service.client() as client:
            stuck = asyncio.create_task(score(client, "stuck"))
            assert await service.line() == "batch\n"
            service.terminate()
            answer = await stuck
        assert await service.exit_code() == 1
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "draining"
    log = [json.loads(line)["message"] for line in service.log.read_text().splitlines()]
    assert log[-1] == (
        "The drain was cut short after 0.1 seconds (--drain-seconds): 1 admitted requests were not "
        "finished. Their clients were answered 503."
    )
    assert not any("ASGI" in line for line in log), "an answered request is no fault"


async def test_a_second_signal_cuts_the_drain_short_and_says_so(tmp_path: Path) -> None:
    async with gated(tmp_path, "--drain-seconds", "55") as service:
        await service.ready()
        async with service.client() as client, service.client() as other:
            stuck = asyncio.create_task(score(client, "stuck"))
            assert await service.line() == "batch\n"
            service.terminate()
            await until_draining(other)
            service.terminate()
            assert (await stuck).status_code == 503
        assert await service.exit_code() == 1
    last_line = json.loads(service.log.read_text().splitlines()[-1])["message"]
    assert last_line.startswith("The drain was cut short by a second signal: 1 admitted")


async def test_an_engine_that_hangs_answers_what_it_holds_and_ends_the_process_with_1(
    tmp_path: Path,
) -> None:
    async with gated(tmp_path, "--engine-timeout-seconds", "0.5") as service:
        await service.ready()
        async with service.client() as client:
            answer = await score(client, "stuck")
        assert await service.exit_code() == 1
    (item,) = answer.json()["results"][0]["scores"]
    assert item["error"]["code"] == "engine_error"
    last_line = json.loads(service.log.read_text().splitlines()[-1])["message"]
    assert last_line.startswith("The engine of fake-rm@1.2 did not come back from a batch")
    assert last_line.endswith("The process ends, to be started afresh.")


@pytest.mark.skipif(not shutil.which("curl"), reason="the line is for curl")
async def test_the_printed_curl_line_works_and_an_idle_service_exits_with_0(tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path / "model")
    async with started(tmp_path, "service", "--model", str(model), "--device", "cpu") as service:
        await service.ready()
        curl = await asyncio.create_subprocess_exec(
            *shlex.split(service.curl), stdout=subprocess.PIPE
        )
        printed, _ = await asyncio.wait_for(curl.communicate(), PATIENCE)
        service.terminate()
        assert await service.exit_code() == 0
    (result,) = json.loads(printed)["results"]
    assert sorted(result["ranking"]) == [0, 1]
    log = [json.loads(line) for line in service.log.read_text().splitlines() if line[:1] == "{"]
    assert [line["outcome"] for line in log if line["message"] == "request"] == ["ok"]


def command(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", *flags],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=PATIENCE,
    )


def test_an_unfit_model_is_refused_with_a_message_and_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen2", "num_labels": 2}')
    for model, reason in [
        ("/no/such/directory", "/no/such/directory: no such directory"),
        (str(tmp_path), f"{tmp_path}"),
    ]:
        run = command("--model", model, "--port", "0")
        assert run.returncode == 1
        assert reason in run.stderr
        assert "Traceback" not in run.stderr
        assert run.stdout == ""


def test_a_taken_port_is_an_error_without_a_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (key := tmp_path / "key").write_text("sesame")
        admin = ("--admin-port", str(port), "--admin-key-file", str(key))
        runs = {
            "--port": command("--model", str(tmp_path), "--port", str(port)),
            "--admin-port": command("--model", str(tmp_path), "--port", "0", *admin),
        }
    for flag, run in runs.items():
        assert run.returncode == 1
        assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in run.stderr
        assert f"Choose another --host or {flag};" in run.stderr
        assert "Traceback" not in run.stderr


def test_a_file_of_keys_that_is_wrong_is_refused_at_the_start(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# ours\nSECRET\n")
    run = command("--api-keys-file", str(keys), "--port", "0")
    assert run.returncode == 1
    assert f"{keys} cannot be used: line 2: " in run.stderr
    assert "SECRET" not in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


@pytest.mark.skipif(not shutil.which("curl"), reason="the line is for curl")
async def test_with_keys_the_printed_curl_line_takes_one_and_a_new_one_counts(
    tmp_path: Path,
) -> None:
    def made(name: str) -> str:
        """A new key, appended to the file."""
        new = [sys.executable, "-m", "service.keys", "new", name]
        with keys.open("a") as file:
            run = subprocess.run(new, stdout=file, stderr=subprocess.PIPE, check=True, text=True)
        return run.stderr.split()[-1]

    async def scores(key: str) -> bool:
        curl = await asyncio.create_subprocess_shell(
            service.curl,
            stdout=subprocess.PIPE,
            env=os.environ | {"KEY": key},
        )
        printed, _ = await asyncio.wait_for(curl.communicate(), PATIENCE)
        return "results" in json.loads(printed)

    keys = tmp_path / "keys"
    first = made("team-a")
    model = make_checkpoint(tmp_path / "model")
    flags = ("--model", str(model), "--device", "cpu", "--api-keys-file", str(keys))
    async with started(tmp_path, "service", *flags) as service:
        await service.ready()
        assert [await scores(key) for key in ("", first)] == [False, True]
        second = made("team-b")
        async with asyncio.timeout(PATIENCE):
            while not await scores(second):
                pass
        assert await scores(first)
        service.terminate()
        assert await service.exit_code() == 0
    assert not any(key in service.log.read_text() for key in (first, second))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to serve on")
def test_a_device_that_is_not_there_is_refused_with_a_message(tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path / "model")
    run = command("--model", str(model), "--port", "0", "--device", "cuda")
    assert run.returncode == 1
    assert (
        "PyTorch finds no GPU that it can use, and --device asks for cuda. Choose --device cpu"
        in run.stderr
    )
    assert "Traceback" not in run.stderr


async def test_models_come_and_go_through_the_admin_port(tmp_path: Path) -> None:
    first, second = (make_checkpoint(tmp_path / name, seed=len(name)) for name in ("a", "bb"))
    key = tmp_path / "key"
    key.write_text("sesame\n")
    flags = ("--model", str(first), "--admin-port", "0", "--admin-key-file", str(key))
    async with started(tmp_path, "service", *flags, "--device", "cpu") as service:
        await service.ready()
        (told,) = re.findall(r".*the admin interface listens.*", service.log.read_text())
        port = json.loads(told)["port"]
        async with service.client() as client:
            before = (await score(client, "x")).json()
            headers = {"Authorization": "Bearer sesame"}
            base = f"http://127.0.0.1:{port}/v1/admin"
            async with httpx.AsyncClient(
                base_url=base, headers=headers, timeout=PATIENCE, trust_env=False
            ) as admin:
                loaded = await admin.post("/load", json={"source": str(second)})
                shown = {"prompt": "prompt", "candidates": ["x"]}
                body = {"inputs": [shown], "model": "bb@unversioned"}
                after = (await client.post("/v1/score", json=body)).json()
                await admin.post("/unload", json={"model": "bb@unversioned"})
                gone = await client.post("/v1/score", json=body)
            hidden = await client.get("/v1/admin/models", headers=headers)
        service.terminate()
        assert await service.exit_code() == 0
    assert loaded.status_code == 200, loaded.text
    assert hidden.status_code == 404, "the public port has no such path"
    assert (before["model"], after["model"]) == ("a", "bb")
    assert before["results"] != after["results"]
    assert gone.status_code == 404


async def test_a_model_that_hangs_while_it_is_tried_holds_up_nothing_else(tmp_path: Path) -> None:
    """Scores, probes and unloading go on beside it, and a signal ends the process and the trial."""
    hangs = make_checkpoint(
        tmp_path / "hangs", template="{% set a = 9 ** messages | length %}{{ a ** (9 ** 9) }}"
    )
    loop = "{% for i in range(99999) %}"
    endless = make_checkpoint(tmp_path / "endless", template=3 * loop + 3 * "{% endfor %}")
    other = make_checkpoint(tmp_path / "other")
    (key := tmp_path / "key").write_text("sesame\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    models = ("--model", str(make_checkpoint(tmp_path / "a")), "--also-serve", str(other))
    flags = ("--admin-port", str(port), "--admin-key-file", str(key), "--trial-seconds", "3")
    async with started(tmp_path, "service", *models, *flags) as service:
        await service.ready()
        async with (
            service.client() as client,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}/v1/admin",
                headers={"Authorization": "Bearer sesame"},
                timeout=PATIENCE,
                trust_env=False,
            ) as admin,
        ):
            loading = asyncio.create_task(admin.post("/load", json={"source": str(hangs)}))
            answers = 0
            while not loading.done():
                assert (await client.get("/healthz")).status_code == 200
                assert (await score(client, f"answer {answers}")).status_code == 200
                answers += 1
                await asyncio.wait({loading}, timeout=0.2)  # leaves the trial some of the CPU
                if answers == 1:
                    gone = await admin.post("/unload", json={"model": "other@unversioned"})
            refused = await loading
            again = asyncio.create_task(admin.post("/load", json={"source": str(endless)}))
            children = f"/proc/{service.process.pid}/task/{service.process.pid}/children"
            while not Path(children).read_text():  # noqa: ASYNC240
                assert (await client.get("/healthz")).status_code == 200
            busy = await admin.post("/load", json={"source": str(other)})
            service.terminate()
            exit_code = await service.exit_code()
            again.cancel()
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "cannot_load")
    assert (gone.status_code, busy.status_code) == (200, 409)
    assert answers > 1
    assert exit_code == 0


@pytest.mark.parametrize("key", [None, b"\n", b"\xff", b"two\nkeys", "pipe"])
def test_an_admin_port_without_a_key_is_refused(tmp_path: Path, key: bytes | str | None) -> None:
    file = tmp_path / "key"
    if isinstance(key, bytes):
        file.write_bytes(key)
    elif key:
        os.mkfifo(file)
    flags = ["--admin-port", "0", "--admin-key-file", str(file)]
    run = subprocess.run(
        [sys.executable, "-m", "service", *flags],
        capture_output=True,
        check=False,
        text=True,
        cwd=ROOT,
        timeout=PATIENCE,
    )
    assert run.returncode == 2
    # It names the flags and no setting that does not exist.
    assert run.stderr.startswith(("--admin-port requires --admin-key-file", "--admin-key-file "))


@pytest.mark.parametrize("stdout", ["/dev/full", "closed pipe"])
async def test_standard_output_that_cannot_be_written_does_not_stop_the_service(
    tmp_path: Path, stdout: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    out = writing if stdout == "closed pipe" else os.open(stdout, os.O_WRONLY)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.service.gated_service", "--port", str(port)),
        stdout=out,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False
        ) as client:
            async with asyncio.timeout(PATIENCE):
                await until_ready(client)
                for _ in range(5):  # it was announced by now, and the service goes on
                    assert (await client.get("/readyz")).status_code == 200
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        os.close(out)
        os.close(writing) if out != writing else None


async def until_ready(client: httpx.AsyncClient) -> None:
    while True:
        with contextlib.suppress(httpx.TransportError):
            if (await client.get("/readyz")).status_code == 200:
                return
        await asyncio.sleep(0.05)


async def test_a_reader_of_the_log_that_stops_reading_stops_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    (tmp_path / "log").symlink_to(f"/proc/self/fd/{writing}")
    async with started(tmp_path, "tests.service.gated_service") as service:
        await service.ready()
        async with service.client() as client:
            # A pipe holds 64 KiB, some 200 lines.
            for _ in range(500):
                assert (await client.get("/v1/models")).status_code == 200
        service.terminate()
        assert await service.exit_code() == 0
    os.close(reading)
    os.close(writing)


async def test_connections_that_use_up_all_descriptors_fill_no_log(tmp_path: Path) -> None:
    def limit_descriptors() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    async with started(
        tmp_path, "tests.service.gated_service", preexec_fn=limit_descriptors
    ) as service:
        await service.ready()

        def lines() -> int:
            return len(service.log.read_bytes().splitlines())

        before = lines()
        host, port = service.url.removeprefix("http://").split(":")
        idle = [socket.create_connection((host, int(port))) for _ in range(100)]
        async with asyncio.timeout(PATIENCE):
            while lines() < before + 3:  # noqa: ASYNC110 - asyncio says so once a second
                await asyncio.sleep(0.01)
        assert lines() < before + 20
        for connection in idle:
            connection.close()
        async with service.client() as client, asyncio.timeout(PATIENCE):
            await until_ready(client)
        service.terminate()
        assert await service.exit_code() == 0


async def test_sighup_drains_as_sigterm_does(tmp_path: Path) -> None:
    async with gated(tmp_path, "--drain-seconds", "55") as service:
        await service.ready()
        async with service.client() as client:
            running = asyncio.create_task(score(client, "running"))
            assert await service.line() == "batch\n"
            service.process.send_signal(signal.SIGHUP)
            async with service.client() as other:
                await until_draining(other)
            service.go_on()
            assert (await running).status_code == 200
        assert await service.exit_code() == 0


async def test_without_a_terminal_everything_that_is_printed_is_json(tmp_path: Path) -> None:
    async with gated(tmp_path, "--host", "::1") as service:
        ready = json.loads(await service.line())
        service.terminate()
        assert await service.exit_code() == 0
    assert re.fullmatch(r"\[::1\]:\d+", ready["listening"])
    assert f"http://{ready['listening']}/docs" in ready["message"]
    assert {"time", "level", "logger"} < set(ready)
    refused = command("--model", "/no/such/directory", "--port", "0")
    for line in (service.log.read_text() + refused.stderr).splitlines():
        assert json.loads(line)["message"]


async def test_at_a_terminal_the_second_line_can_be_pasted(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.service.gated_service", "--port", "0"),
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    with os.fdopen(ours, closefd=True) as terminal:
        lines = [await asyncio.to_thread(terminal.readline) for _ in range(2)]
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    os.close(theirs)
    assert lines[0].startswith("Ready. Documentation: http://127.0.0.1:")
    assert shlex.split(lines[1])[0] == "curl"
