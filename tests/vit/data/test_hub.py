"""Data sets from the Hugging Face Hub: read from its caches, downloaded once, or a quick error with suggestions.

A small data set of scikit-learn's digits and a local server replace the real data sets and the Hub. The tests cover the
path from a name to tensors through the installed `datasets`.
"""

import functools
import hashlib
import http.server
import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.data_samples import digits, save_table

from study.utils.errors import StudyError
from study.vit.data import available, catalogue, describe, load
from study.vit.data.hub import SETS, HubSet

REVISION = "0123456789abcdef0123456789abcdef01234567"
TINY = HubSet(
    repository="nobody/tiny",
    revision=REVISION,
    config="plain_text",
    image_size=8,
    channels=1,
    classes=10,
    splits={"train": 130, "validation": 20, "test": 50},
    description="digits for tests",
    licence="BSD",
)
WITHOUT_EXTRA = HubSet(
    **{**vars(TINY), "files": {split: f"plain_text/{split}-*.parquet" for split in ("train", "test")}}
)
CARD = """\
---
configs:
- config_name: plain_text
  data_files:
  - {split: train, path: plain_text/train-*}
  - {split: test, path: plain_text/test-*}
  - {split: extra, path: plain_text/extra-*}
---
"""
IN_A_NEW_PROCESS = f"""
import sys, time
from study.vit.data import available, cache, catalogue, hub
from study.utils.errors import StudyError
hub.SETS["tiny"], catalogue.NAMED["tiny"] = hub.{TINY!r}, "study.vit.data.hub:Hub"
start = time.perf_counter()
try:
    available("tiny")
    print(cache.info_of(cache.remember(catalogue.find("tiny"), 8))["digest"])
except StudyError as error:
    print(error)
    print("seconds:", time.perf_counter() - start)
"""


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The data set in the table, and empty caches."""
    from huggingface_hub import constants

    monkeypatch.setitem(SETS, "tiny", TINY)  # type: ignore[arg-type]
    monkeypatch.setitem(catalogue.NAMED, "tiny", "study.vit.data.hub:Hub")  # type: ignore[arg-type]
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_DATASETS_CACHE", raising=False)


def files(folder: Path) -> Path:
    """The files of the data set, as in the repository."""
    images, labels = digits()
    save_table(folder / "plain_text" / "train-00000-of-00001.parquet", images[:150], labels[:150])
    save_table(folder / "plain_text" / "test-00000-of-00001.parquet", images[150:], labels[150:])
    save_table(folder / "plain_text" / "extra-00000-of-00001.parquet", images[:50], labels[:50])
    (folder / "README.md").write_text(CARD)
    return folder


def cache(folder: Path, config: str = "plain_text") -> None:
    """The Arrow files that `datasets` writes, in its folder for this name, configuration and revision."""
    import datasets

    source = files(folder / "source") / "plain_text"
    tables = {split: str(source / f"{split}-00000-of-00001.parquet") for split in ("train", "test", "extra")}
    datasets.load_dataset("parquet", data_files=tables, cache_dir=str(folder / "made"))
    (made,) = {file.parent for file in (folder / "made").rglob("*.arrow")}
    (folder / "nobody___tiny" / config / "0.0.0").mkdir(parents=True)
    made.rename(folder / "nobody___tiny" / config / "0.0.0" / REVISION)


def check() -> str:
    """Loads the data set, checks it, and returns its digest."""
    available("tiny")
    data = load("tiny", 8)
    assert replace(data.info, white=None, uniform_images=None, counts=None, in_train=None) == describe("tiny")
    assert data.info.in_train == {"validation": 0, "test": 0}
    assert data.info.splits == {"train": 130, "validation": 20, "test": 50}
    assert data.train.labels is not None
    return data.digest


@pytest.mark.parametrize("configured", [True, False])
def test_from_the_cache_of_datasets(configured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "elsewhere" if configured else tmp_path / "home" / "datasets"
    if configured:
        monkeypatch.setenv("HF_DATASETS_CACHE", str(folder))
    cache(folder)
    check()


def test_other_revisions_are_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    cache(tmp_path / "home" / "datasets")
    (made,) = (tmp_path / "home").rglob(REVISION)
    made.rename(made.with_name(REVISION[::-1]))
    with pytest.raises(StudyError, match=f"{REVISION} is not in .*datasets, and .* offline"):
        load("tiny", 8)


def test_another_number_of_images_than_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache(tmp_path / "home" / "datasets")
    other = HubSet(**{**vars(TINY), "splits": {"train": 900, "validation": 100, "test": 50}})
    monkeypatch.setitem(SETS, "tiny", other)  # type: ignore[arg-type]
    with pytest.raises(
        StudyError,
        match=r"images per split are \{'train': 130, .* expected \{'train': 900, .*; remove .* download it again",
    ):
        load("tiny", 8)


@pytest.mark.parametrize("name", list(SETS))
def test_descriptions_are_consistent(name: str) -> None:
    known = SETS[name]
    assert set(known.splits) == {"train", "validation", "test"}
    assert set(known.files or {}) <= set(known.splits)
    assert len(known.revision) == 40
    if name != "flowers102":  # which has its own validation split
        whole = known.splits["train"] + known.splits["validation"]
        assert known.splits["validation"] == pytest.approx(whole / 10, abs=known.classes / 2)


class FakeHub(http.server.SimpleHTTPRequestHandler):
    """Describes the repository and serves its files like the Hub: each with its commit and a hash."""

    requests: list[str]

    def do_GET(self) -> None:
        """Files, and the content of the repository."""
        called, _, place = self.path.partition("?")[0].removeprefix(f"/api/datasets/{TINY.repository}/").partition("/")
        if called == "revision" and place == REVISION:
            return self.answer({"id": TINY.repository, "sha": REVISION})
        folder = Path(self.directory) / place.removeprefix(REVISION).lstrip("/")
        if called == "tree" and place.startswith(REVISION) and folder.is_dir():
            return self.answer([self.entry(file) for file in folder.iterdir()])
        return super().do_GET()

    def entry(self, file: Path) -> dict[str, object]:
        path = str(file.relative_to(self.directory))
        return {"type": "directory" if file.is_dir() else "file", "path": path, "size": 1, "oid": "0" * 40}

    def answer(self, content: object) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        super().end_headers()
        self.wfile.write(json.dumps(content).encode())

    def translate_path(self, path: str) -> str:
        prefix = f"/datasets/{TINY.repository}/resolve/{REVISION}/"
        return super().translate_path(path.removeprefix(prefix) if path.startswith(prefix) else "/none")

    def end_headers(self) -> None:
        content = Path(self.translate_path(self.path))
        if content.is_file():
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("ETag", f'"{hashlib.sha1(content.read_bytes()).hexdigest()}"')
        super().end_headers()

    def log_message(self, format: str, *values: object) -> None:
        self.requests.append(f"{self.command} {Path(self.path).name}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """A local Hub with the data set, and the requests that it received."""
    handler = type("Handler", (FakeHub,), {"requests": []})
    folder = str(files(tmp_path / "repository"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder)) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}", handler.requests  # type: ignore[attr-defined]
        serving.shutdown()
        thread.join()


def start(home: Path, endpoint: str, code: str = IN_A_NEW_PROCESS, **more: str) -> subprocess.Popen[str]:
    """A process that loads the data set, with its own caches and this Hub."""
    unset = ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_TOKEN", "HTTP_PROXY", "http_proxy")
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment |= {
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "STUDY_CACHE": str(home / "study"),
        "USE_TORCH": "0",
        **more,
    }  # torch would take seconds to import
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def output(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return out


def test_two_processes_download_once(
    server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    endpoint, requests = server
    code = IN_A_NEW_PROCESS.replace(repr(TINY), repr(WITHOUT_EXTRA))
    both = [start(tmp_path / "home", endpoint, code), start(tmp_path / "home", endpoint, code)]
    digests = {output(process).strip() for process in both}
    downloads = [request for request in requests if request.startswith("GET") and request.endswith("parquet")]
    assert sorted(downloads) == ["GET test-00000-of-00001.parquet", "GET train-00000-of-00001.parquet"]
    requests.clear()
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    assert {check()} == digests
    assert requests == []


def test_the_error_without_a_hub_has_suggestions(tmp_path: Path) -> None:
    error = output(start(tmp_path / "new", "http://127.0.0.1:1"))
    for words in (
        "data set 'tiny' is not cached on this machine",
        f"nobody/tiny at revision {REVISION}",
        str(tmp_path / "new" / "datasets"),
        f"datasets.load_dataset(path='nobody/tiny', name='plain_text', revision='{REVISION}')",
        "parquet:FOLDER",
        "imagefolder:FOLDER",
    ):
        assert words in error
    assert float(error.split()[-1]) < 5


def test_a_hub_that_does_not_respond_times_out(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        code = IN_A_NEW_PROCESS.replace("start =", "hub.TIMEOUT = 1; start =")
        error = output(start(tmp_path / "new", f"http://127.0.0.1:{silent.getsockname()[1]}", code))
    assert "is not cached on this machine" in error
    assert float(error.split()[-1]) < 5


def test_offline_mode_and_a_missing_repository(server: tuple[str, list[str]], tmp_path: Path) -> None:
    error = output(start(tmp_path / "new", server[0], HF_HUB_OFFLINE="1"))
    assert "HF_HUB_OFFLINE" in error
    assert server[1] == []
    code = IN_A_NEW_PROCESS.replace(REVISION, REVISION[::-1])
    assert "404" in output(start(tmp_path / "new", server[0], code))


def test_the_suggested_command_works(
    server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command in the message fills the cache that is then read."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StudyError) as caught:
        available("tiny")
    (command,) = [line for line in str(caught.value).splitlines() if "python -c" in line]
    output(start(tmp_path / "home", server[0], shlex.split(command)[2]))
    check()
