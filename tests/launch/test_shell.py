"""Runs the generated scripts, with fake programs in place of SLURM and Ray."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.paths import ROOT


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


SRUN = """\
#!/bin/bash
while [[ $1 == --* ]]; do shift; done
"""
SCONTROL = """\
#!/bin/bash
echo "$*" >>"$SLURM_SUBMIT_DIR/scontrol.txt"
if [ "$1" = show ]; then echo 127.0.0.1; fi
"""


@pytest.fixture
def job(launch, root, tmp_path):
    """Start the batch script as SLURM does on the first node of a job; `srun` is the body of the fake srun."""

    def start(srun, *wrapper, token="0123456789abcdef" * 4):
        folder = launch("slurm", nodes=1, gpus=None, cpus=2, tracking_uri="http://127.0.0.1:9").folder
        program(tmp_path / "bin" / "srun", SRUN + srun)
        program(tmp_path / "bin" / "scontrol", SCONTROL)
        (tmp_path / "home" / ".ray").mkdir(parents=True, exist_ok=True)
        (tmp_path / "home" / ".ray" / "auth_token").write_text(token)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
        environment |= {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "HOME": str(tmp_path / "home"),
            "PYTHONPATH": str(ROOT),
            "SLURM_SUBMIT_DIR": str(root),
            "SLURM_JOB_ID": str(os.getpid()),
            "SLURM_JOB_NODELIST": "node[1]",
        }
        command = [*wrapper, "bash", str(folder / "job.sh")]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return start


DRIVER = """\
import pathlib, signal, sys, time
def stop(*_):
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
pathlib.Path("words").write_text("\\n".join(sys.argv[1:]))
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def fake_driver(root):
    """An environment whose Python waits for Ctrl-C instead of running the study."""
    (root / "driver.py").write_text(DRIVER)
    program(
        root / ".venv" / "bin" / "python",
        f'#!/bin/bash\nif [ "$1" = - ]; then exec {sys.executable} "$@"; fi\n'
        f'exec {sys.executable} "$SLURM_SUBMIT_DIR/driver.py" "$@"\n',
    )


AFTER_DASHES = 'until [ "$1" = -- ]; do shift; done\nshift\n"$@"\n'  # like symmetric-run on the head, without Ray


def test_before_the_time_limit_the_driver_stops_and_the_job_is_requeued(job, fake_driver, root):
    running = job(AFTER_DASHES)
    until(lambda: (root / "words").is_file())
    assert (root / "words").read_text().split()[:3] == ["-m", "study", "run"]
    running.send_signal(signal.SIGUSR1)
    output, _ = running.communicate(timeout=120)
    assert running.returncode == 0
    assert "the job is requeued" in output
    assert (root / "scontrol.txt").read_text().splitlines()[-1] == f"requeue {os.getpid()}"


def until(done, timeout=120.0):
    end = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_job_has_the_exit_code_of_the_driver(job, fake_driver, root):
    (root / "driver.py").write_text("import sys; sys.exit(1)")
    running = job(AFTER_DASHES)
    running.communicate(timeout=120)
    assert running.returncode == 1
    assert "requeue" not in (root / "scontrol.txt").read_text()


def test_a_failed_start_of_ray_fails_the_job_although_ray_exits_with_0(job, fake_driver):
    running = job("exit 0\n")
    output, _ = running.communicate(timeout=120)
    assert running.returncode == 1
    assert "Ray did not start on all nodes, so the study was not run" in output


def test_the_job_does_not_start_without_a_token(job, fake_driver, root):
    running = job("touch started\n", token="")
    output, _ = running.communicate(timeout=120)
    assert running.returncode == 2
    assert "no Ray token in" in output
    assert "ray get-auth-token --generate" in output
    assert not (root / "started").exists()


NAMESPACE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"]


def has_namespaces() -> bool:
    return (
        shutil.which("unshare") is not None and not subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode
    )


@pytest.mark.system
@pytest.mark.skipif(
    not has_namespaces(),
    reason="needs PID namespaces (Linux, unshare): Ray's symmetric run stops every Ray process that it can see",
)
def test_the_batch_script_runs_a_study_on_ray(job, root, tiny):
    """Everything except SLURM: token, symmetric run, driver, store, report, exit code."""
    short = tiny.read_text().replace("replicates: 2", "replicates: 1")
    tiny.write_text(re.sub(r"  (mode|pre-training): \{.*\n", "", short))
    (root / ".venv").symlink_to(sys.prefix)
    for _ in range(3):  # `ray start` gives up if the raylet needs more than half a minute
        running = job('exec "$@"\n', *NAMESPACE)
        try:
            output, _ = running.communicate(timeout=280)
        finally:
            running.kill()
            folder_mode = stat.S_IMODE(os.stat(f"/tmp/ray-{os.getpid()}").st_mode)
            shutil.rmtree(f"/tmp/ray-{os.getpid()}", ignore_errors=True)
        if "Ray did not start on all nodes" not in output:
            break
    assert running.returncode == 0, output
    assert folder_mode == 0o700
    assert "2 cells x 1 replicate = 2 trials" in output
    assert len(list((root / ".study" / "finetune").iterdir())) == 2
    assert (root / "reports" / "tiny" / "report.html").is_file()


@pytest.mark.parametrize("kind", ["aws", "gcp", "onprem"])
def test_the_head_submits_watches_and_stops_the_study_as_a_job(kind, launch, tmp_path):
    written = launch(kind)
    home = tmp_path / "home"
    program(home / "study-env" / "bin" / "ray", '#!/bin/bash\nprintf "%s\\n" "$RAY_AUTH_MODE" "$RAY_ADDRESS" "$@"\n')
    place = home / "study" / "launch" / f"tiny-{kind}"
    shutil.copytree(written.folder, place)
    (place / "commit").write_text("0123abc\n")

    def sweep(*words):
        command = ["bash", str(place / "sweep.sh"), *words]
        return subprocess.run(command, env=os.environ | {"HOME": str(home)}, text=True, capture_output=True)

    words = sweep("start").stdout.splitlines()
    assert words[:5] == ["token", "http://127.0.0.1:8265", "job", "submit", "--no-wait"]
    job = words[6]
    assert words[7:10] == ["--", "env", f"--chdir={home}/study"]
    assert words[10:16] == ["STUDY_COMMIT=0123abc", f"{home}/study-env/bin/python", "-m", "study", "run", words[15]]
    assert words[15] == f"launch/tiny-{kind}/grid.yaml"
    assert sweep("watch").stdout.splitlines()[2:] == ["job", "logs", "--follow", job]
    assert sweep("stop").stdout.splitlines()[2:] == ["job", "stop", job]
    wrong = sweep("fly")
    assert (wrong.returncode, wrong.stderr) == (2, "usage: sweep.sh start|watch|stop\n")
