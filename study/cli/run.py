"""One invocation of `study run`: fan the missing stages out, mirror them, report, and say how it went."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from study import BEGAN, tracking
from study.cli import signals
from study.cli.progress import SweepProgress
from study.design.resources import Resources
from study.planning import plan as planning
from study.planning.events import Listeners, Outcome
from study.planning.plan import Plan
from study.planning.stage_source import StageSource
from study.planning.trials import StageNames
from study.store.results import Store
from study.store.verify import say, verify
from study.tracking import ledger
from study.utils.errors import StudyError
from study.utils.provenance import commit
from study.utils.redact import masked
from study.utils.text import clock_time, plural
from study.vit import subject

if TYPE_CHECKING:
    from study import execution
    from study.report import Results


LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Places:
    """Where a sweep runs and where its results go."""

    store: Store
    reports: Path
    tracking_uri: str
    address: str | None = None  # of a Ray cluster; None for this machine alone


@dataclass(frozen=True)
class Ending:
    """How a sweep ended."""

    outcomes: list[Outcome]
    interrupted: bool
    asked: int = 0  # stages that were to be run
    names: Mapping[str, str] = field(default_factory=dict)  # of those, by key

    def followed_by(self, later: "Ending") -> "Ending":
        """Two rounds as one sweep."""
        outcomes, names = [*self.outcomes, *later.outcomes], {**self.names, **later.names}
        return Ending(outcomes, later.interrupted, self.asked + later.asked, names)

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.status == "failed"]

    @property
    def exit_code(self) -> int:
        return 130 if self.interrupted else 1 if self.failed else 0


def run(plan: Plan, places: Places, console: Console) -> int:
    """Run what is missing, deliver it to MLflow, write the report. Returns the exit code."""
    try:
        return _run(plan, places, console)
    except KeyboardInterrupt:
        console.print(signals.STOPPED, style="yellow")
        return 130


def _run(plan: Plan, places: Places, console: Console) -> int:
    console.print(f"[bold]{escape(plan.study.name)}[/]  {planning.summary(plan)}", highlight=False)
    checked = verify(plan.study, places.store, weights=False)
    if checked.fine < checked.looked_at:
        say(checked, StageNames(plan.study, places.store), plan.study, console)
    damaged = checked.damaged
    if plan.finished and not tracking.undelivered(plan.study, places.store, places.tracking_uri):
        report(plan, places, console, rebuild=False)
        return int(bool(damaged))
    for name in planning.datasets(plan.study):
        subject.available(name)
    with _cluster(plan, places, console) as cluster:  # before anything is written: it may not answer, or be too small
        _prepare(places)
        tags = {"commit": commit(), "grid": str(plan.study.path)}
        with tracking.Tracker(plan.study, places.store, places.tracking_uri, tags) as tracker:
            ending = _rounds(plan, places, cluster, tracker, console) if cluster else Ending([], interrupted=False)
            patience = tracking.LAST_SECONDS if ending.interrupted else tracker.patience
            limit = "" if patience is None else f", for {patience:.0f} s at the most"
            with console.status(f"delivering what is left to MLflow{limit}"):
                tracker.flush(patience)
            folder = None if ending.interrupted else report(plan, places, console, rebuild=True)
            tracker.finish({0: "FINISHED", 1: "FAILED", 130: "KILLED"}[ending.exit_code], folder)
    _say_tracking(tracker, plan, places, console)
    _say_failures(ending, console)
    return ending.exit_code or int(bool(damaged))


def report(plan: Plan, places: Places, console: Console, rebuild: bool) -> Path:
    """Write the study's report from what is stored, unless it is up to date and need not be rebuilt."""
    from study.report import is_current

    folder, results = places.reports / plan.study.name, _results(plan, places)
    if not rebuild and is_current(results, folder):
        console.print(f"report up to date: {folder / 'report.html'}", highlight=False)
    else:
        _write_report(results, folder, console)
    return folder


def _results(plan: Plan, places: Places) -> "Results":
    from study.report import collect

    runs = ledger.Ledger(places.store, plan.study.name).runs(places.tracking_uri)
    return collect(plan.study, places.store, runs)


def _write_report(results: "Results", folder: Path, console: Console) -> None:
    from study.report import build

    with console.status("writing the report"):
        made = build(results, folder)
    for sentence in made.summary:
        console.print(escape(sentence), highlight=False)
    console.print(f"report: {folder / 'report.html'} and {folder / 'report.ipynb'}", highlight=False)


def rebuild_report(plan: Plan, places: Places, console: Console) -> int:
    """Write the report from stored results alone. Returns the exit code, as of `run`: 1 where trials have failed.

    Raises StudyError where there are no results: a report made elsewhere would be lost for nothing.
    """
    if not any(item.done for item in plan.cells):
        raise StudyError(
            f"no trial of {plan.study.name!r} has a result in {places.store}; run it first: "
            f"python -m study run {plan.study.path}, or name the store that has it with --store"
        )
    results = _results(plan, places)
    _write_report(results, places.reports / plan.study.name, console)
    return int((results.trials["status"] == "failed").any())


def sync(plan: Plan, places: Places, console: Console) -> int:
    """Deliver to MLflow what it lacks. Returns the exit code."""
    waiting = tracking.undelivered(plan.study, places.store, places.tracking_uri)
    if waiting:
        tags = {"commit": commit(), "grid": str(plan.study.path)}
        with tracking.Tracker(plan.study, places.store, places.tracking_uri, tags) as tracker:
            tracker.flush()
            tracker.finish("FINISHED", None)
        if tracker.problem is not None:
            raise StudyError(f"MLflow at {masked(places.tracking_uri)}: {tracker.problem}")
    console.print(f"{plural(len(waiting), 'run')} delivered to {masked(places.tracking_uri)}", highlight=False)
    return 0


@contextlib.contextmanager
def _cluster(plan: Plan, places: Places, console: Console) -> Iterator["execution.Cluster | None"]:
    """Ray, for as long as it is needed; None where nothing is to be run."""
    if plan.finished:
        yield None
        return
    from study import execution

    if places.store.is_folder:
        execution.check_persistent(places.store.root)
    with console.status("starting Ray"):
        waiting = "the cluster has no processors yet: waiting for its first worker node (Ctrl-C stops it)"
        cluster = execution.connect(places.address, lambda: console.print(waiting))
    try:
        execution.check_resources(plan.study.grid.resources, cluster)
        with signals.stop_in_order(console):  # `ray job stop` says it with SIGTERM; Ray has set its own handlers by now
            yield cluster
    finally:
        execution.disconnect()


def _prepare(places: Places) -> None:
    try:
        places.reports.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(
            f"--reports {places.reports}: no folder can be made there: {error.strerror}; name another one"
        ) from None
    places.store.prepare()


def _rounds(
    plan: Plan, places: Places, cluster: "execution.Cluster", tracker: tracking.Tracker, console: Console
) -> Ending:
    """Fan out until the study wants nothing that was not tried: results may call for more trials."""
    ending = Ending([], interrupted=False)
    work: StageSource | None = _first_work(plan, places.store)
    while work is not None:
        ending = ending.followed_by(_fan_out(plan, work, places, cluster, tracker, console))
        plan, work = planning.make_plan(plan.study, places.store), None
        stages = [stage for stage in plan.missing if stage.key not in ending.names]
        if stages and not ending.interrupted:
            tracker.expect(plan.trials)
            work = StageSource(stages)
            console.print(f"{plural(len(stages), 'more stage')}: {planning.summary(plan)}", highlight=False)
    _say_ending(ending, busy(ending.outcomes, time.monotonic() - BEGAN, plan.study.grid.resources, cluster), console)
    return ending


def _first_work(plan: Plan, store: Store) -> StageSource:
    if plan.study.space is None:
        return StageSource(plan.missing)
    from study.tuning.stage_source import TuningStageSource

    return TuningStageSource(plan.study, store)


def _fan_out(
    plan: Plan,
    work: StageSource,
    places: Places,
    cluster: "execution.Cluster",
    tracker: tracking.Tracker,
    console: Console,
) -> Ending:
    """One round: these stages of the plan, and what they bring about."""
    from study import execution

    names = StageNames(plan.study, places.store)
    workers = cluster.at_once(plan.study.grid.resources)
    with SweepProgress(plan.missing, names, console, workers, lambda: work.total) as progress:
        outcomes, interrupted = execution.fan_out(
            work, places.store, plan.study.grid.resources, cluster, Listeners(progress, tracker), commit()
        )
    return Ending(outcomes, interrupted, work.total, {one.stage.key: names[one.stage.key] for one in outcomes})


def _say_ending(ending: Ending, share: str, console: Console) -> None:
    done, wall = len(ending.outcomes) - len(ending.failed), clock_time(time.monotonic() - BEGAN)
    others = sum(outcome.elsewhere for outcome in ending.outcomes)
    stopped = sum(outcome.status == "stopped" for outcome in ending.outcomes)
    early = f", {stopped} of them stopped early" if stopped else ""
    by = f", {others} of them by another driver" if others else ""
    console.print(f"{done} of {ending.asked} stages run{by}{early} in {wall} with start-up; {share}", highlight=False)
    if ending.interrupted:
        console.print("interrupted: what had finished is stored; run the same command again to go on", style="yellow")


def busy(outcomes: list[Outcome], wall: float, resources: Resources, cluster: "execution.Cluster") -> str:
    """The share of cores, or of GPUs where trials take them, that stages kept busy for `wall` seconds, in words."""
    seconds, gpus = sum(outcome.seconds for outcome in outcomes), cluster.gpus_per_trial(resources)
    if gpus and cluster.gpus:
        return f"stages kept {gpus * seconds / (wall * cluster.gpus):.0%} of {cluster.gpus:g} GPUs busy"
    return f"stages kept {resources.cpu * seconds / (wall * cluster.cpus):.0%} of {cluster.cpus:g} cores busy"


def _say_failures(ending: Ending, console: Console) -> None:
    if not ending.failed:
        return
    console.print(f"[red]{plural(len(ending.failed), 'stage')} failed[/] (tried again by the next run):")
    for outcome in ending.failed:
        console.print(f"  {escape(ending.names[outcome.stage.key])}: {escape((outcome.error or '').splitlines()[0])}")


def _say_tracking(tracker: tracking.Tracker, plan: Plan, places: Places, console: Console) -> None:
    uri = masked(places.tracking_uri)
    if tracker.problem is None:
        return
    waiting = len(tracking.undelivered(plan.study, places.store, places.tracking_uri))
    console.print(
        f"[yellow]MLflow at {escape(uri)} did not take everything[/] ({escape(tracker.problem)}); nothing is lost: "
        f"{waiting} stages wait in the store; deliver them with: python -m study sync {plan.study.path}"
    )


def open_ui(uri: str, host: str, port: int, console: Console) -> None:
    """Serve MLflow's pages, saying where and then only what goes wrong; replaces this process. On another address than
    this machine's own, with a warning."""
    import sys

    if host not in LOCAL_HOSTS:
        console.print(
            f"[yellow]MLflow's pages will be open to whoever reaches {escape(host)}:{port}[/]: they ask for no "
            "password, and let runs be changed and deleted"
        )
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    # in the environment, for others can read a process's arguments, and the address may hold a password
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri
    print(f"MLflow: http://{host}:{port} (Ctrl-C stops it)", flush=True)
    serve = ["--host", host, "--port", str(port), "--uvicorn-opts", "--log-level warning"]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", *serve])
