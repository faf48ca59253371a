"""A tiny study that is pre-trained and fine-tuned on a folder of images, and results of it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from helpers.data_samples import digits, save_images
from helpers.tiny_grid import ONE_REPLICATE

from study.design.stages import Stage
from study.design.study import Study, load
from study.execution.run_stage import run_stage
from study.planning.state import StudyState
from study.store.results import Store


def save(folder: Path, start: int = 0, end: int = 200) -> Path:
    """Some of the digits as images in folders; returns `folder`."""
    images, labels = digits()
    return save_images(folder, images[start:end], labels[start:end])


def grid(path: Path, data: str, text: str = ONE_REPLICATE) -> Path:
    """Write the tiny grid with all stages on a data set; returns its path."""
    path.write_text(text.replace("dataset: digits", f"dataset: '{data}'"))
    return path


def study_on(folder: Path) -> Study:
    """The tiny study on a folder of images; its grid is beside it."""
    return load(grid(folder.with_suffix(".yaml"), f"imagefolder:{folder}"))


def run_all(state: StudyState) -> StudyState:
    """Run the missing stages in this process; returns the state afterwards."""
    return run_stages((stage for key, stage in state.stages.items() if key not in state.stored), state)


def run_stages(stages: Iterable[Stage] | Sequence[Stage], state: StudyState) -> StudyState:
    """Run some stages in this process; returns the state afterwards."""
    for stage in stages:
        run_stage(Stage.from_spec(stage.spec()), state.store, "cpu", lambda row: None)
    return StudyState.look(state.study, Store(state.store.address), state.contents)
