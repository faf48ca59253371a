"""What a study will run and what is done, before anything runs; without torch."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from study.design.mistakes import Mistakes
from study.design.stages import Stage
from study.design.study import Cell, Study, Trial
from study.planning.claim_power import ClaimPower, claim_powers
from study.planning.replicated import Original, original
from study.planning.state import StudyState
from study.planning.tuning_state import Tuning, num_tunings
from study.utils.errors import StudyError
from study.utils.frozen_model import FieldError
from study.vit import subject


@dataclass(frozen=True)
class CellPlan:
    """One cell: its size, and how many of its trials are done."""

    cell: Cell
    classes: int | None  # of its labelled data set; None for an excluded cell
    done: int  # trials
    trials: int  # requested

    @cached_property
    def size(self) -> subject.ModelSize | None:
        """None for an excluded cell."""
        return subject.model_size(self.cell.settings, self.classes) if self.cell.settings and self.classes else None


@dataclass(frozen=True)
class Plan:
    """A study's cells, trials and distinct stages at one look at the store."""

    state: StudyState
    cells: list[CellPlan]
    claims: list[ClaimPower]

    @property
    def study(self) -> Study:
        return self.state.study

    @property
    def trials(self) -> list[Trial]:
        return self.state.trials

    @property
    def tunings(self) -> list[Tuning]:
        """Of cells whose tuning can begin; empty where nothing is tuned."""
        return self.state.tunings

    @cached_property
    def original(self) -> Original | None:
        """The study that this one replicates."""
        return original(self.state)

    @cached_property
    def stages(self) -> list[Stage]:
        """Distinct stages, parents before children."""
        return list(self.state.stages.values())

    @cached_property
    def uses(self) -> int:
        """The number of stages if none were shared."""
        return sum(len(self.state.stages_of(trial)) for trial in self.trials)

    @cached_property
    def done(self) -> frozenset[str]:
        """Keys of its stages that are stored."""
        return self.state.stored & self.state.stages.keys()

    @cached_property
    def missing(self) -> list[Stage]:
        """Stages that are not stored."""
        return [stage for stage in self.stages if stage.key not in self.done]

    @property
    def finished(self) -> bool:
        """Whether nothing is left to run. A tuning whose trials have all failed is retried."""
        return not self.missing and not self.tuning_left and not any(one.all_failed for one in self.tunings)

    @property
    def tuning_left(self) -> int:
        """Tuning trials that have not ended."""
        ended = sum(one.ended for one in self.tunings)
        return self.study.space.budget * num_tunings(self.study) - ended if self.study.space else 0


def make_plan(state: StudyState) -> Plan:
    """The plan of a study. Raises StudyError for a data set that is unknown or does not suit its recipe."""
    infos = _describe_all(state.study)
    requested = Counter(trial.cell.name for trial in state.trials)
    done = Counter(trial.cell.name for trial in state.trials if state.observed.is_done(trial))
    cells = [CellPlan(cell, _classes(cell, infos), done[cell.name], requested[cell.name]) for cell in state.study.cells]
    tunes_models = state.study.space and any(p.name.startswith("encoder.") for p in state.study.space.parameters)
    sizes = {} if tunes_models else {one.cell.name: one.size for one in cells if one.size}
    return Plan(state, cells, claim_powers(state, sizes))


def datasets(study: Study) -> list[str]:
    """The names of all data sets that a study's trials use."""
    return list(dict.fromkeys(stage.dataset for _, stage in _stage_settings(study)))


def decoded_data(study: Study) -> list[tuple[str, int]]:
    """The data sets that a study's trials use, each with an image size to which it is decoded."""
    return list(dict.fromkeys(stage.data for _, stage in _stage_settings(study)))


def how_data_are_read(study: Study) -> list[str]:
    """One line per data set and image size, and one if subsets of training images are drawn anew.

    Raises StudyError for a data set that cannot be described.
    """
    split, subset = ("split" in study.grid.resample), "train_images" in study.grid.resample
    lines = [subject.how_read(name, size) + subject.how_resampled(name, split) for name, size in decoded_data(study)]
    return lines + ["the subsets of train_images are drawn anew for each replicate"] * subset


def _stage_settings(study: Study) -> Iterator[tuple[Cell, subject.StageSettings]]:
    """The stages of every included cell."""
    for cell in study.included:
        if cell.settings is not None:
            yield from ((cell, stage) for stage in subject.stages_of(cell.settings))


def _describe_all(study: Study) -> dict[str, subject.DatasetInfo]:
    """The data sets by name. Raises StudyError for all that are unknown or do not suit their stages."""
    infos: dict[str, subject.DatasetInfo] = {}
    mistakes = Mistakes()
    unknown: dict[str, str] = {}  # the message
    for cell, stage in _stage_settings(study):
        name = stage.dataset
        try:
            if name not in infos and name not in unknown:
                infos[name] = subject.describe(name)
        except StudyError as error:
            unknown[name] = str(error)
        with mistakes.collect():
            if name in unknown:
                raise study.error(cell, f"{stage.kind}.dataset", unknown[name])
            _check_data(study, cell, stage, infos[name])
    mistakes.check()
    if "split" in study.grid.resample and not any(map(subject.drawn_splits, infos)):
        raise study.source.error(
            ("resample",),
            f"'split' has no effect: {', '.join(infos)} {'gives' if len(infos) == 1 else 'give'} all splits, which "
            "stay as they are; leave split out, or use a data set without test or validation images of its own",
        )
    return infos


def check_decoded_data(study: Study) -> None:
    """Raise StudyError if a data set, as decoded on this machine, does not suit its stage."""
    for cell, stage in _stage_settings(study):
        if (info := subject.described_after_decoding(*stage.data)) is not None:
            _check_data(study, cell, stage, info)


def _check_data(study: Study, cell: Cell, stage: subject.StageSettings, info: subject.DatasetInfo) -> None:
    try:
        subject.check_data(stage, info)
    except FieldError as error:
        raise study.error(cell, f"{stage.kind}.{error.field}", str(error)) from None


def _classes(cell: Cell, infos: Mapping[str, subject.DatasetInfo]) -> int | None:
    """Classes that a cell's last stage is trained for; None for an excluded cell."""
    if cell.excluded is not None or cell.settings is None:
        return None
    return infos[subject.stages_of(cell.settings)[-1].dataset].classes
