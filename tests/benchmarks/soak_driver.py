"""`study` without training: python soak_driver.py run GRID ..., as `python -m study run GRID ...`."""

import sys

from without_training import without_training

NUMBERS = 1_000  # per model, so that 20,000 models fit on a small disk


def main() -> None:
    from study.cli.app import main as study
    from study.execution import worker

    worker.run_bundle = without_training(worker.run_bundle, NUMBERS)
    study()


if __name__ == "__main__":
    sys.argv[0] = "study"
    main()
