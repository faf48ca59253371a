"""No dependency reports its use: asked by its own functions, and by what it writes to an empty home folder."""

import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from helpers.paths import ROOT
from packaging.requirements import Requirement

from study.utils.telemetry import NOWHERE, VARIABLES

REVIEWED = {  # packages whose source has to do with telemetry: what switches it off
    "mlflow": "MLFLOW_DISABLE_TELEMETRY",
    "mlflow-skinny": "MLFLOW_DISABLE_TELEMETRY",
    "mlflow-tracing": "MLFLOW_DISABLE_TELEMETRY",
    "ray": "RAY_USAGE_STATS_ENABLED",
    "onnxruntime": "ORT_DISABLE_TELEMETRY",
    "huggingface-hub": "HF_HUB_DISABLE_TELEMETRY",
    "datasets": "its counts of downloads are requests to the Hub, switched off in quiet_datasets",
    "opentelemetry-api": "exports only where an exporter is configured",
    "opentelemetry-sdk": "likewise",
    "opentelemetry-proto": "likewise",
    "opentelemetry-semantic-conventions": "likewise",
    "opentelemetry-exporter-prometheus": "likewise: serves numbers of Ray on this machine",
    "opencensus": "likewise",
    "databricks-sdk": "only with servers of Databricks",
    "torch": "a logger of PyTorch's authors, without a destination elsewhere",
    "debugpy": "a channel to the editor that debugs",
    "google-cloud-storage": "traces of OpenTelemetry, off by default",
    "google-cloud-storage-control": "likewise",
    "google-api-core": "likewise",
    "google-auth": "names itself in headers of requests to Google's storage",
    "gcsfs": "likewise",
    "fastapi": "passes traces of OpenTelemetry on, if an application makes them",
    "starlette": "likewise",
    "pyarrow": "likewise, where ARROW_TRACING_BACKEND is set",
    "pygments": "a word of a language that it highlights",
}
WORDS = re.compile(rb"(?i)telemetry|usage_stats|posthog|sentry_sdk|mixpanel|scarf\.sh|google-analytics")


def python(code: str, home: Path, **environment: str) -> str:
    """The output of a script in a new process, with an empty home folder and no other settings."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    own = {"HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | own | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_every_package_states_that_its_telemetry_is_off(tmp_path: Path) -> None:
    code = """
import study
import mlflow.telemetry.utils
from huggingface_hub import constants
from ray._common.usage import usage_lib
from study.vit.data.examples import quiet_datasets
print(mlflow.telemetry.utils.is_telemetry_disabled(), constants.HF_HUB_DISABLE_TELEMETRY)
print(not usage_lib.usage_stats_enabled(), usage_lib._usage_stats_report_url())
print(not quiet_datasets().config.HF_UPDATE_DOWNLOAD_COUNTS)
"""
    assert python(code, tmp_path).split() == ["True", "True", "True", NOWHERE, "True"]


@pytest.mark.parametrize("first", ["study", "study.vit.export.onnx", "study.execution.worker"])
def test_onnxruntime_after_study_writes_nothing(first: str, tmp_path: Path) -> None:
    """In a script of a user, too. Without `study` it writes an id and a database of events."""
    pytest.importorskip("onnxruntime")
    assert python(f"import {first}, onnxruntime; print('done')", tmp_path) == "done\n"
    assert [path for path in tmp_path.rglob("*") if "onnx" in path.name.lower()] == []
    python("import onnxruntime", tmp_path)
    assert list(tmp_path.rglob("deviceid"))


def test_a_choice_of_the_user_is_kept(tmp_path: Path) -> None:
    code = "import study, os; print(os.environ['MLFLOW_DISABLE_TELEMETRY'], os.environ['DO_NOT_TRACK'])"
    assert python(code, tmp_path, MLFLOW_DISABLE_TELEMETRY="false").split() == ["false", "true"]


def dependencies(name: str, found: dict[str, str]) -> dict[str, str]:
    """All distributions that one requires, directly or not, with all of its own extras."""
    try:
        required = distribution(name).requires or []
    except PackageNotFoundError:  # of another platform, or of an extra that is not installed
        return found
    for one in map(Requirement, required):
        wanted = one.marker is None or name == "lightweight-vit-study" or one.marker.evaluate({"extra": ""})
        key = re.sub(r"[-_.]+", "-", one.name).lower()
        if wanted and key not in found:
            found[key] = name
            dependencies(one.name, found)
    return found


@pytest.mark.slow
def test_every_dependency_with_telemetry_was_reviewed() -> None:
    """Where this fails for a new package, find what switches its telemetry off, and add it to `REVIEWED`."""
    unknown = {}
    for name, user in dependencies("lightweight-vit-study", {}).items():
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            continue
        places = (Path(str(file.locate())) for file in files if file.suffix == ".py" and "test" not in str(file))
        if name not in REVIEWED and (place := next((p for p in places if WORDS.search(p.read_bytes())), None)):
            unknown[name] = f"{place}, required by {user}"
    assert unknown == {}
    assert {text for text in REVIEWED.values() if text.isupper()} <= VARIABLES.keys()
