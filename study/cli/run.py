"""The verb `run`: plan, check, connect, execute, deliver, report."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from study import BEGAN, tracking
from study.cli import signals
from study.cli.exit_codes import ExitCode
from study.cli.name_conflict import check_experiment, to_add
from study.cli.notices import show_notices
from study.cli.places import Places
from study.cli.plan import claim_line, show_claims, show_registration, summary
from study.cli.progress import SweepProgress
from study.cli.report import update_report, write_report
from study.cli.suggested_replication import suggested_replication
from study.cli.sync import left_to_others, sweep_tags
from study.cli.verify import show_problems, verify
from study.design.resources import Resources
from study.design.stages import Stage
from study.planning import last_run, study_identity
from study.planning.claim_registration import register
from study.planning.events import Listeners, Outcome
from study.planning.plan import Plan, check_decoded_data, datasets, decoded_data, how_data_are_read, make_plan
from study.planning.record_looks import record_failures
from study.planning.stage_source import StageSource
from study.planning.state import StudyState
from study.store.results import StoreError
from study.utils.errors import Advice, RayLostError, StudyError
from study.utils.escape import terminal as escape
from study.utils.provenance import commit, git_problem
from study.utils.redact import masked
from study.utils.text import clock_time, plural
from study.vit import subject

if TYPE_CHECKING:
    from study import execution

RUN_STATUS = {
    ExitCode.OK: "FINISHED",
    ExitCode.FAILED: "FAILED",
    ExitCode.RAY_LOST: "KILLED",
    ExitCode.INTERRUPTED: "KILLED",
}  # of MLflow


@dataclass(frozen=True)
class Sweep:
    """The stages that one invocation ran, and the state of the study afterwards."""

    state: StudyState
    outcomes: tuple[Outcome, ...] = ()
    interrupted: bool = False
    total: int = 0  # stages requested, run or not

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.status == "failed"]

    @property
    def untried(self) -> list[Stage]:
        """Stages that are not stored and have not been run."""
        ended = self.state.stored | {outcome.stage.key for outcome in self.outcomes}
        return [stage for key, stage in self.state.stages.items() if key not in ended]

    @property
    def exit_code(self) -> ExitCode:
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return ExitCode.FAILED if self.failed else ExitCode.OK


def run(state: StudyState, places: Places, console: Console) -> ExitCode:
    """Run the missing stages, deliver them to MLflow, write the report. Returns the exit code.

    FAILED if a stage failed or a stored one cannot be used. Raises StudyError, before anything is written, if a data
    set is not found or has unreadable images, or the store, the cluster or the reports folder cannot be used;
    RayLostError if Ray dies during the sweep.
    """
    try:
        with signals.stop_in_order(console) as take_signals:
            return _run(state, places, console, take_signals)
    except KeyboardInterrupt:
        console.print(signals.STOPPED, style="yellow")
        return ExitCode.INTERRUPTED


def _run(state: StudyState, places: Places, console: Console, take_signals: Callable[[], None]) -> ExitCode:
    plan = make_plan(state)
    show_notices(state, console)
    console.print(f"[bold]{escape(state.study.name)}[/]  {summary(plan)}", highlight=False)
    show_claims(plan.study, [claim_line(power) for power in plan.claims], console)
    unusable = _check_store(state, places, console)
    _warn_of_git(console)
    if plan.finished:
        _register(state, console)
    if plan.finished and tracking.in_order(state, places.tracking_uri):
        with contextlib.suppress(StoreError):  # a finished study is also read from a store that cannot be written
            study_identity.record(state.study, state.store)
        update_report(state, places, console)
        _suggest_replication(state, places, console)
        return ExitCode.FAILED if unusable else ExitCode.OK
    check_experiment(state, places, "run")
    check_data(state, console)
    with _connect(plan, places, console, take_signals) as cluster:  # first: the cluster may be too small or not respond
        _make_writable(state, places)
        state.contents.record(plan.stages)
        if not plan.finished:
            _register(state, console)  # before the first stage
        this = last_run.begin(state.study, state.store, commit())
        with tracking.Tracker(state, places.tracking_uri, sweep_tags(state), places.replace) as tracker:
            with _closing_if_lost(tracker):
                sweep = _execute(plan, cluster, tracker, console) if cluster else Sweep(state)
            _deliver(sweep, tracker, console)
            folder = None if sweep.interrupted else write_report(sweep.state, places, console)
            tracker.finish(RUN_STATUS[sweep.exit_code], folder)
    with contextlib.suppress(StoreError):  # the sweep has reported that the store cannot be written
        last_run.end(state.study, state.store, this, sweep.exit_code)
    _suggest_replication(sweep.state, places, console)
    _show_undelivered(sweep.state, tracker, places, console)
    _show_failures(sweep, tracker, console)
    return ExitCode.FAILED if unusable and sweep.exit_code == ExitCode.OK else sweep.exit_code


def _suggest_replication(state: StudyState, places: Places, console: Console) -> None:
    if line := suggested_replication(state, places.invocation):
        console.print(escape(line), highlight=False, soft_wrap=True)


def _register(state: StudyState, console: Console) -> None:
    """Record the claims and replicates and the failed trials of looks, and show when the claims were written."""
    register(state)
    record_failures(state)
    show_registration(state, console)


def _warn_of_git(console: Console) -> None:
    """Warn if results cannot have their commit."""
    if problem := git_problem():
        message = f"the commit is not recorded: {problem.reason}; to fix it: {problem.fix}"
        console.print(f"[yellow]warning:[/] {escape(message)}", highlight=False)


def _check_store(state: StudyState, places: Places, console: Console) -> bool:
    """Show damaged and unreadable results; weights are not read. Returns whether any cannot be used."""
    found = verify(state, weights=False)
    show_problems(found, state, console, places.invocation)
    return bool(found.damaged or found.newer)


def check_data(state: StudyState, console: Console) -> None:
    """Show how data sets are read. Raise StudyError if one is missing here and cannot be downloaded, if an own image
    cannot be read, or if a split is empty.

    Own data are decoded for that, unless they have been; workers on this machine use the decoded images.
    """
    for name in datasets(state.study):
        subject.available(name)
    for name, size in decoded_data(state.study):
        if subject.is_own_data(name):
            with console.status(f"reading {escape(name)}"):
                subject.data_digest(name, size)
    check_decoded_data(state.study)
    for line in how_data_are_read(state.study):
        console.print(f"data: {escape(line)}", highlight=False)


@contextlib.contextmanager
def _connect(
    plan: Plan, places: Places, console: Console, take_signals: Callable[[], None]
) -> Iterator["execution.Cluster | None"]:
    """Connect to Ray for the duration of the context; yields None if no stage is missing."""
    if plan.finished:
        yield None
        return
    from study import execution

    store = plan.state.store
    if store.is_folder:
        execution.check_persistent(store.root)
    with console.status("starting Ray"):
        waiting = "the cluster has no CPUs yet; waiting for the first worker node (Ctrl-C to stop)"
        cluster = execution.connect(places.address, lambda: console.print(waiting), take_signals)
    lost = False
    try:
        execution.check_resources(plan.study.grid.resources, cluster)
        yield cluster
    except RayLostError:
        lost = True
        raise
    finally:
        execution.disconnect(lost)


@contextlib.contextmanager
def _closing_if_lost(tracker: tracking.Tracker) -> Iterator[None]:
    """If Ray dies, deliver what is finished and close the parent run, within `LAST_SECONDS` each."""
    try:
        yield
    except RayLostError:
        tracker.flush(tracking.LAST_SECONDS)
        tracker.finish(RUN_STATUS[ExitCode.RAY_LOST], None)
        raise


def _make_writable(state: StudyState, places: Places) -> None:
    try:
        places.reports.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"cannot create --reports {places.reports}: {error.strerror}; choose another folder") from None
    state.store.prepare()
    study_identity.record(state.study, state.store)


def _execute(plan: Plan, cluster: "execution.Cluster", tracker: tracking.Tracker, console: Console) -> Sweep:
    """Run stages in rounds until no untried stage is left: the results of a round may add trials."""
    sweep = _run_round(Sweep(plan.state), plan.missing, _first_source(plan), cluster, tracker, console)
    while not sweep.interrupted and (stages := sweep.untried):
        console.print(f"{plural(len(stages), 'more stage')}: {summary(make_plan(sweep.state))}", highlight=False)
        sweep = _run_round(sweep, stages, StageSource(stages), cluster, tracker, console)
    _show_end(sweep, plan.study.grid.resources, cluster, console)
    return sweep


def _first_source(plan: Plan) -> StageSource:
    if plan.study.space is None:
        return StageSource(plan.missing)
    from study.tuning.stage_source import TuningStageSource

    return TuningStageSource(plan.study, plan.state.store, plan.state.contents)


def _run_round(
    sweep: Sweep,
    stages: list[Stage],
    source: StageSource,
    cluster: "execution.Cluster",
    tracker: tracking.Tracker,
    console: Console,
) -> Sweep:
    """Run the stages of a source, then read the store again."""
    from study import execution

    store, resources = sweep.state.store, sweep.state.study.grid.resources
    with SweepProgress(stages, tracker.names, console, cluster.at_once(resources), lambda: source.total) as progress:
        outcomes, interrupted = execution.fan_out(
            source, store, resources, cluster, Listeners(progress, tracker), commit()
        )
    state = sweep.state.look_again()
    record_failures(state)
    tracker.names.add(state)
    return Sweep(state, (*sweep.outcomes, *outcomes), interrupted, sweep.total + source.total)


def _deliver(sweep: Sweep, tracker: tracking.Tracker, console: Console) -> None:
    """Wait until MLflow has everything, up to a timeout."""
    timeout = tracking.LAST_SECONDS if sweep.interrupted else tracking.FLUSH_SECONDS
    with console.status(f"delivering to MLflow, up to {timeout:.0f} s"):
        tracker.flush(timeout)


def _show_end(sweep: Sweep, resources: Resources, cluster: "execution.Cluster", console: Console) -> None:
    seconds = time.monotonic() - BEGAN
    done = len(sweep.outcomes) - len(sweep.failed)
    others = sum(outcome.elsewhere for outcome in sweep.outcomes)
    stopped = sum(outcome.status == "stopped" for outcome in sweep.outcomes)
    notes = (f", {others} of them by another driver" if others else "") + (
        f", {stopped} of them stopped early" if stopped else ""
    )
    used = utilisation(sweep.outcomes, seconds, resources, cluster)
    console.print(
        f"{done} of {plural(sweep.total, 'stage')} run{notes} in {clock_time(seconds)} including start-up; {used}",
        highlight=False,
    )
    if sweep.interrupted:
        console.print("interrupted: finished stages are stored; run the same command again to resume", style="yellow")


def utilisation(outcomes: tuple[Outcome, ...], wall: float, resources: Resources, cluster: "execution.Cluster") -> str:
    """Share of the cores, or of the GPUs if trials use GPUs, that stages used in `wall` seconds."""
    seconds, gpus = sum(outcome.seconds for outcome in outcomes), cluster.gpus_per_trial(resources)
    if gpus and cluster.gpus:
        return f"GPU utilisation {gpus * seconds / (wall * cluster.gpus):.0%} ({plural(cluster.gpus, 'GPU')})"
    return f"CPU utilisation {resources.cpu * seconds / (wall * cluster.cpus):.0%} ({plural(cluster.cpus, 'core')})"


def _show_failures(sweep: Sweep, tracker: tracking.Tracker, console: Console) -> None:
    if not sweep.failed:
        return
    console.print(f"[red]{plural(len(sweep.failed), 'stage')} failed[/] (the next run retries them):")
    for outcome in sweep.failed:
        error = (outcome.error or "").splitlines()[0]
        console.print(f"  {escape(tracker.names[outcome.stage.key])}: {escape(error)}")


def _show_undelivered(state: StudyState, tracker: tracking.Tracker, places: Places, console: Console) -> None:
    if line := left_to_others(tracker.deliveries):
        console.print(f"MLflow: {line}", highlight=False)
    if tracker.problem is None:
        return
    count = len(tracking.undelivered(state, tracker.uri))
    advice = to_add() if tracker.refused else tracker.advice or Advice("to deliver", "sync")
    console.print(
        f"[yellow]MLflow at {escape(masked(tracker.uri))} is incomplete[/] ({escape(tracker.problem)}): "
        f"{plural(count, 'stage')} not delivered, but stored; {escape(advice.text(places.invocation))}",
        highlight=False,
        soft_wrap=True,
    )
