"""Everything that is computed from a study's results, each on first use and then kept."""

import math
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from study.analysis import (
    add_vs_remove,
    budgets,
    cells,
    confusion,
    data_set_effects,
    data_set_methods,
    data_set_verdicts,
    data_sets,
    effects,
    expert_load,
    factorial,
    findings,
    items,
    level_contrasts,
    outlying,
    pretraining,
    registration,
    registration_cost,
    search_front,
    tuned_values,
    verdicts,
)
from study.analysis.accuracy_intervals import smallest_of_interest
from study.analysis.facts import StudyFacts
from study.analysis.failures import reason
from study.analysis.results import Results
from study.analysis.stats.effects import Effects
from study.analysis.stats.error_choice import ErrorChoice
from study.analysis.stats.sequential import Look


@dataclass(frozen=True)
class Bootstrap:
    """A bootstrap interval per cell, nan where there is none; `failure` is the reason if the bootstrap failed."""

    intervals: list[cells.Interval]
    failure: str = ""


@dataclass(frozen=True)
class Analysis:
    """The analyses of one study. Each property may raise what its computation raises; none changes the results."""

    results: Results

    @property
    def facts(self) -> StudyFacts:
        """The study's question, design and provenance."""
        return self.results.facts

    @property
    def margin(self) -> float:
        """The smallest difference of interest, a share."""
        return smallest_of_interest(self.facts)

    @cached_property
    def data_sets(self) -> data_sets.DataSets | None:
        """What cells are fine-tuned on, if that differs; see `study.analysis.data_sets`."""
        return data_sets.data_sets_of(self.facts)

    @cached_property
    def bootstrap(self) -> Bootstrap:
        """A check on the intervals of cells. It is optional: a failure leaves the cells without it."""
        try:
            return Bootstrap(cells.bootstrap(self.results))
        except Exception as error:
            return Bootstrap([(math.nan, math.nan)] * len(self.facts.included), reason(error))

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per included cell; see `study.analysis.cells`."""
        return cells.cells(self.results, self.bootstrap.intervals)

    @property
    def error(self) -> ErrorChoice[str]:
        """The error of differences of test accuracy; see `study.analysis.stats.error_choice`."""
        return self.results.error

    @cached_property
    def predicted(self) -> items.Items:
        """Predictions for each test image, by cell; see `study.analysis.items`."""
        return items.by_cell(self.results)

    @cached_property
    def shown_cells(self) -> dict[str, items.CellPredictions]:
        """The baseline and the best cell, if they have predictions; see `study.analysis.confusion`."""
        return confusion.shown_cells(self.results, self.predicted)

    @cached_property
    def image_comparisons(self) -> pd.DataFrame:
        """One row per cell compared with another image by image; see `study.analysis.items`."""
        return items.comparisons(self.results, self.predicted)

    @cached_property
    def is_matched(self) -> bool:
        """Whether effects are differences of matched cells, not of the fit; see `study.analysis.effects`."""
        return effects.is_matched(self.facts)

    @cached_property
    def effects(self) -> pd.DataFrame:
        """One row per factor and level but the baseline's; see `study.analysis.effects`, `findings.judged`."""
        rows = effects.matched(self.results) if self.is_matched else effects.fitted(self.results, self.fit)
        return findings.judged(rows, self.margin)

    @cached_property
    def is_factorial(self) -> bool:
        """Whether the design is for main effects and interactions; see `study.analysis.factorial`."""
        return factorial.is_factorial(self.facts)

    @cached_property
    def fit(self) -> Effects:
        """Main effects and interactions by least squares; see `study.analysis.factorial`."""
        return factorial.fit(self.results)

    @cached_property
    def anova(self) -> pd.DataFrame:
        """The analysis of variance; empty unless the design is factorial."""
        return factorial.anova(self.fit) if self.is_factorial else factorial.NO_ANOVA

    @cached_property
    def main_effects(self) -> pd.DataFrame:
        """Least-squares means by factor and level; empty unless the design is factorial."""
        return factorial.main_effects(self.fit) if self.is_factorial else factorial.NO_EFFECTS

    @cached_property
    def interactions(self) -> pd.DataFrame:
        """Least-squares means of the largest two-factor interactions; empty unless the design is factorial."""
        return factorial.interactions(self.fit, self.anova) if self.is_factorial else factorial.NO_INTERACTIONS

    @cached_property
    def looks(self) -> list[Look]:
        """Looks at claims while replicates are added, the state before the first included; else empty."""
        return verdicts.looks_of(self.results)

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """One row per claim; see `study.analysis.verdicts`."""
        return data_set_verdicts.mark_claims(self.results, self.data_sets, verdicts.verdicts(self.results, self.looks))

    @cached_property
    def data_set_verdicts(self) -> pd.DataFrame:
        """One row per claim and data set, if there are several; see `study.analysis.data_set_verdicts`."""
        if self.data_sets is None:
            return pd.DataFrame(columns=data_set_verdicts.COLUMNS)
        return data_set_verdicts.by_data_set(self.results, self.data_sets, self.verdicts, self.looks)

    @cached_property
    def data_set_effects(self) -> pd.DataFrame:
        """One row per level and data set, if there are several; see `study.analysis.data_set_effects`."""
        if self.data_sets is None:
            return pd.DataFrame(columns=["data_set", *effects.COLUMNS])
        return findings.judged(data_set_effects.by_data_set(self.results, self.data_sets), self.margin)

    @cached_property
    def methods(self) -> data_set_methods.Methods:
        """Methods over several data sets, their ranks and other aggregates; see `study.analysis.data_set_methods`."""
        if self.data_sets is None:
            return data_set_methods.NONE
        return data_set_methods.methods(self.results, self.data_sets)

    @cached_property
    def level_contrasts(self) -> pd.DataFrame:
        """One row per contrast that the grid asks for; see `study.analysis.level_contrasts`."""
        found = level_contrasts.level_contrasts(self.results)
        return data_set_verdicts.mark_contrasts(self.results, self.data_sets, found)

    @cached_property
    def outlying(self) -> pd.DataFrame:
        """Runs far from the median of their cell; see `study.analysis.outlying`."""
        return outlying.outlying(self.results)

    @cached_property
    def registration(self) -> str:
        """When the claims were written, as half a sentence; see `study.design.registration`."""
        return registration.sentence(self.results, verdicts.factors_of(self.results))

    @cached_property
    def registration_cost(self) -> list[str]:
        """What it cost that claims or replicates were changed after results; see `study.analysis.registration_cost`."""
        return registration_cost.of_report(self.results, verdicts.factors_of(self.results))

    @cached_property
    def claim_runs(self) -> pd.DataFrame:
        """One row per claim and trial that its estimate uses; see `study.analysis.verdicts`."""
        return verdicts.runs(self.results, self.looks)

    @cached_property
    def add_vs_remove(self) -> pd.DataFrame:
        """What each part is worth in the full and in the bare model; see `study.analysis.add_vs_remove`."""
        return findings.judged(add_vs_remove.add_vs_remove(self.results), self.margin)

    @cached_property
    def pretraining(self) -> pd.DataFrame:
        """Cells that differ only in their pre-training; see `study.analysis.pretraining`."""
        return pretraining.pretraining(self.results)

    @cached_property
    def budgets(self) -> pd.DataFrame:
        """What the sides of claims and all cells were given; see `study.analysis.budgets`."""
        return budgets.budgets(self.results, self.looks)

    @cached_property
    def expert_load(self) -> pd.DataFrame:
        """The load of every expert, in even shares; see `study.analysis.expert_load`."""
        return expert_load.expert_load(self.results)

    @cached_property
    def tuned(self) -> pd.DataFrame:
        """The best hyper-parameters of every tuned cell; see `study.analysis.tuned_values`."""
        return tuned_values.tuned(self.results)

    @cached_property
    def search(self) -> pd.DataFrame:
        """Finished trials of a search, with its Pareto front; see `study.analysis.search_front`."""
        return search_front.search(self.results)


def analyse(results: Results) -> Analysis:
    """The analyses of these results; nothing is computed before it is used."""
    return Analysis(results)
