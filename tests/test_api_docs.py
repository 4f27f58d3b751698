"""The examples of docs/api.md, run against `python -m src.host --api-only`; and how that starts and ends."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path

import pytest
import yaml
from api_server import TOKEN, check, data_url, photoprism
from conftest import encode
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text("utf-8")
RED = encode(Image.new("RGB", (320, 240), (220, 20, 20)))


def blocks(language):
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found


def command(*options):
    return [sys.executable, "-m", "src.host", "--api-only", *map(str, options)]


@contextlib.contextmanager
def started(*options, **environment):
    """The process, and its address."""
    process = subprocess.Popen(
        command("--port", 0, *options),
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"http://[\w.:\[\]]+/", line)
        assert found, line + (process.stderr.read() if process.poll() is not None else "")
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def address(tiny_export):
    with started("--export", tiny_export, LANDMARK_API_TOKEN=TOKEN) as (_, found):
        yield found


@pytest.fixture
def run(address, tmp_path):
    """Run an example as a user does, in a folder with a photo; what it prints."""
    (tmp_path / "photo.jpg").write_bytes(RED)

    def run(code, *command):
        code = code.replace("http://localhost:8866/", address)
        assert address in code
        done = subprocess.run(
            [*command, code],
            cwd=tmp_path,
            env=os.environ | {"LANDMARK_API_TOKEN": TOKEN, "NO_PROXY": "*"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    return run


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize("code", blocks("sh"), ids=lambda code: re.findall(r"/v1/(\S+)", code)[-1])
def test_examples_with_curl(run, code):
    answer = json.loads(run(code, "bash", "-ec"))
    schema = "Landmarks" if "landmarks" in answer else "Labels" if "result" in answer else "Answer"
    check(schema, answer)
    assert "Taj Mahal" in json.dumps(answer)


@pytest.mark.parametrize("code", blocks("python"))
def test_examples_with_python(run, code):
    pytest.importorskip("requests")
    assert "Taj Mahal" in run(code, sys.executable, "-c")


def test_answer_that_is_shown_has_the_form_of_answers():
    [shown] = blocks("json")
    check("Answer", json.loads(shown))


def test_settings_for_photoprism(address):
    """Its client sends by these what internal/ai/vision/api_client.go sends."""
    [settings] = blocks("yaml")
    [model] = yaml.safe_load(settings)["Models"]
    service = model["Service"]
    assert (model["Type"], service["FileScheme"]) == ("labels", "data")
    assert service["RequestFormat"] == service["ResponseFormat"] == "vision"
    key = service["Key"].replace("${LANDMARK_API_TOKEN}", TOKEN)  # os.ExpandEnv
    path = re.sub(r"http://[\d.:]+/", "", service["Uri"])
    body = photoprism([data_url(RED)], id=str(uuid.uuid4()), model=f"{model['Name']}:latest")
    request = urllib.request.Request(
        address + path,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        method=service["Method"],
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        answer = json.load(response)
    check("Labels", answer)
    assert (answer["id"], answer["code"]) == (body["id"], 200)
    assert answer["result"]["labels"][0]["name"] == "Taj Mahal"


def test_statuses_that_are_shown_are_those_of_the_document():
    document = json.loads((ROOT / "src" / "api" / "openapi.json").read_text("utf-8"))
    described = {
        int(status)
        for operations in document["paths"].values()
        for name, operation in operations.items()
        if name != "parameters"
        for status in operation["responses"]
    }
    shown = {
        int(one) for cell in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE) for one in cell.split(",")
    }
    assert shown - {404, 405} == described - {200}


# How it starts and ends


def test_it_ends_well_when_it_is_stopped(tiny_export):
    for stop in (signal.SIGTERM, signal.SIGINT):
        with started("--export", tiny_export) as (process, _):
            process.send_signal(stop)
            assert process.wait(10) == 0
            assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        (["--ip", "0.0.0.0"], 1, "Beyond this machine (--ip 0.0.0.0) the interface needs a token"),
        (["--export", "missing.pt"], 1, "missing.pt is not there"),
        (["--token-file", "missing.txt"], 1, "missing.txt cannot be read"),
        (["--own", "missing.npz"], 1, "missing.npz cannot be read"),
        (["--own", "README.md"], 1, "README.md is damaged or no file of own landmarks"),
        (["--allow-host", ""], 1, "is no host"),
        (["--port", "TAKEN"], 1, "cannot be listened at"),
        (["--ip", "no.such.name.invalid"], 1, "needs a token"),
        (["--rate", "0"], 2, "0 is less than 1"),
        (["--visitors", "3"], 2, "--api-only has no page; leave out --visitors"),
        (["app.ipynb"], 2, "--api-only has no page; leave out app.ipynb"),
        (["--api"], 2, "not allowed with"),
    ],
)
def test_what_cannot_start_says_so_in_one_sentence(tiny_export, options, status, sentence):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = [option.replace("TAKEN", str(taken.getsockname()[1])) for option in options]
        extra = [] if "--export" in options else ["--export", str(tiny_export)]
        ip = [] if "--ip" in options else ["--ip", "127.0.0.1"]
        done = subprocess.run(
            command(*extra, *ip, *options), cwd=ROOT, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == status
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert status == 2 or done.stderr.count("\n") == 1


def test_options_of_the_interface_need_it():
    run = [sys.executable, "-m", "src.host", "--allow-host", "photos.example.org"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "add --api or --api-only" in done.stderr


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("src.host", {"numpy", "tornado", "torch", "voila", "PIL"}),  # for --help
        ("src.api.alone", {"torch", "voila", "jupyter_server", "ipykernel", "ipywidgets", "traitlets"}),
    ],
)
def test_what_is_not_needed_is_not_imported(module, unneeded):
    code = f"import sys, {module}; print(*sorted({unneeded} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
