"""Training runs on machines with torch but without Ray, MLflow and Optuna."""

import subprocess
import sys

SHOW = "import sys, study.vit.training; print(sorted({name.partition('.')[0] for name in sys.modules}))"


def test_training_needs_neither_ray_nor_mlflow_nor_optuna() -> None:
    done = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    assert "'torch'" in done.stdout
    for package in ("ray", "mlflow", "optuna", "pandas", "sklearn", "datasets"):
        assert f"'{package}'" not in done.stdout
