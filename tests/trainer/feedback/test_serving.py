import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tests.trainer.synthesis.corpus import asking
from tests.trainer.synthesis.server import serving
from trainer.feedback.serving import (
    POINTER,
    ServerConfig,
    complete_by,
    find_policy,
    identify,
    served,
)
from trainer.pipeline.stage import StageError, writing_stage
from trainer.synthesis.endpoint import EndpointConfig

# Takes the options of vLLM's server and answers its route for health checks.
SERVER = """#!{python}
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(" ".join(sys.argv).encode())

    def log_message(self, *_):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""

SERVED = """
import sys, time
from pathlib import Path
from trainer.feedback.serving import ServerConfig, identify, served
from trainer.synthesis.endpoint import EndpointConfig

python, model, log = sys.argv[1:]
at = EndpointConfig("", "m")
with served(at, identify(Path(model)), ServerConfig(python), Path(log)) as endpoint:
    print(endpoint.url.removesuffix("/v1") + "/health", flush=True)
    time.sleep(600)
"""


def program(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_policy_is_served_for_the_block_and_no_longer(tmp_path: Path, model: Path) -> None:
    python = program(tmp_path / "python", SERVER.format(python=sys.executable))
    server = ServerConfig(python, max_model_len=77)
    with served(EndpointConfig("", "m"), identify(model), server, tmp_path / "log") as endpoint:
        health = endpoint.url.removesuffix("/v1") + "/health"
        told = httpx.get(health).text
        assert f"--model {model} --served-model-name m" in told
        assert "--max-model-len 77" in told
        assert endpoint.revision == identify(model).digest[:32]
    with pytest.raises(httpx.ConnectError):
        httpx.get(health)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_no_server_outlives_a_stage_that_is_killed(
    tmp_path: Path, model: Path, sign: signal.Signals
) -> None:
    python = program(tmp_path / "python", SERVER.format(python=sys.executable))
    stage = subprocess.Popen(
        [sys.executable, "-c", SERVED, python, str(model), str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert stage.stdout is not None
    url = stage.stdout.readline().strip()
    children = psutil.Process(stage.pid).children()
    (server,) = (child for child in children if "--served-model-name" in child.cmdline())
    assert httpx.get(url).status_code == 200
    stage.send_signal(sign)
    stage.communicate()
    _, alive = psutil.wait_procs([server], timeout=30)
    assert not alive


def test_a_given_address_is_taken_as_it_is(tmp_path: Path, model: Path) -> None:
    given = EndpointConfig("http://somewhere/v1", "m", revision="mine")
    with served(given, identify(model), ServerConfig("none"), tmp_path / "log") as endpoint:
        assert endpoint == given


def test_a_server_that_dies_is_an_error_that_names_its_log(tmp_path: Path, model: Path) -> None:
    python = program(tmp_path / "python", "#!/bin/sh\necho no memory; exit 3\n")
    with (
        pytest.raises(StageError, match=r"ended with 3: .*log is its log"),
        served(EndpointConfig("", "m"), identify(model), ServerConfig(python), tmp_path / "log"),
    ):
        pass
    assert "no memory" in (tmp_path / "log").read_text()


def test_without_vllm_or_a_policy_the_error_says_what_to_do(tmp_path: Path, model: Path) -> None:
    missing = ServerConfig(str(tmp_path / "none"))
    with (
        pytest.raises(StageError, match="run scripts/install-vllm"),
        served(EndpointConfig("", "m"), identify(model), missing, tmp_path / "log"),
    ):
        pass
    with (
        pytest.raises(StageError, match=r"set llm\.endpoint\.url"),
        served(EndpointConfig("", "m"), None, missing, tmp_path / "log"),
    ):
        pass


def test_a_gate_points_to_the_policy_that_it_accepted(tmp_path: Path, model: Path) -> None:
    with writing_stage(ServerConfig(), tmp_path / "dpo_1") as draft:
        (draft.path / "model.safetensors").write_bytes(b"trained")
    for gate, policy in (("gate_1", "dpo_1"), ("gate_2", "gate_1"), ("gate_3", str(model))):
        with writing_stage(ServerConfig(), tmp_path / gate) as draft:
            (draft.path / POINTER).write_text(json.dumps({"policy": policy}))
    assert find_policy("gate_2", tmp_path) == tmp_path / "dpo_1"
    assert find_policy("gate_3", tmp_path) == model
    with pytest.raises(StageError, match="no stage none below"):
        find_policy("none", tmp_path)


def test_a_digest_tells_weights_and_template_apart(tmp_path: Path, model: Path) -> None:
    before = identify(model)
    assert before.template == ""
    (model / "chat_template.jinja").write_text("{{ messages }}")
    after = identify(model)
    assert after.digest == before.digest
    assert after.template
    (model / "model.safetensors").write_bytes(b"others")
    assert identify(model).digest != before.digest
    with pytest.raises(StageError, match=r"has no \*\.safetensors"):
        identify(tmp_path)


def test_a_server_starts_only_if_an_answer_is_missing(tmp_path: Path, model: Path) -> None:
    weights, output = identify(model), tmp_path / "samples"
    with serving() as running:
        asked = complete_by(["Say."], asking(running.url), weights, ServerConfig("none"), output)
    again = complete_by(["Say."], asking(""), weights, ServerConfig("none"), output)
    assert again.of("Say.") == asked.of("Say.")
    with pytest.raises(StageError, match="run scripts/install-vllm"):
        complete_by(["Say.", "Say more."], asking(""), weights, ServerConfig("none"), output)
