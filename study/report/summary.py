"""What a study found, in plain sentences with numbers: read first, and printed by the command line."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from study.analysis import factorial
from study.analysis.accuracy_intervals import smallest_of_interest
from study.analysis.add_vs_remove import adding_and_removing
from study.analysis.effects import is_matched
from study.analysis.findings import ALPHA
from study.analysis.pretraining import SCRATCH, pretraining
from study.analysis.results import Results
from study.analysis.search_front import searched
from study.analysis.stats.power import detectable_effect, needed_replicates
from study.analysis.tuned_values import edge_sentences
from study.analysis.units import unit_of
from study.analysis.verdicts import looks_made
from study.report.mixed_provenance import mixture
from study.report.tables import holds
from study.utils import formats
from study.utils.text import points

MOST = 6  # levels of a factor told one by one


@dataclass(frozen=True)
class Answer:
    """A finding: a few words of what it is about, and one or two sentences. Both are plain text, not markup."""

    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.about}: {self.text}"


def answers(results: Results) -> list[Answer]:
    """The findings in order: how good the baseline is, what matters and what does not, the best, what is not known."""
    if results.done.empty:
        return [Answer("No result yet", f"none of the {formats.plural(_wanted(results), 'trial')} has finished.")]
    found = [
        *_mixed(results),
        *_search(results),
        *_claims(results),
        *_looks(results),
        _baseline(results),
        *([] if _is_search(results) else [_verdict(results)]),  # a search compares no cells
    ]
    matched = is_matched(results.facts)
    found += [_factor(name, levels, matched) for name, levels in results.effects.groupby("factor", sort=False)]
    found += [*_interactions(results), *_adding(results)]
    found += [*_pretraining(results), *_front(results), *_certainty(results), *_tuning(results), *_unfinished(results)]
    return found


def _is_search(results: Results) -> bool:
    return results.facts.tuning is not None and results.facts.tuning.searches


def _mixed(results: Results) -> Iterator[Answer]:
    """First of all, for it bears on every number that follows."""
    if found := list(mixture(results.facts)):
        text = f"{' '.join(found)} A difference between cells that were not made alike may come from that."
        yield Answer("Not all made alike", text)


def _claims(results: Results) -> Iterator[Answer]:
    """The verdict on every claim, with its numbers; why, where it is undecided."""
    for _, row in results.verdicts.iterrows():
        text = f"{row['verdict']}."
        if not pd.isna(row["estimate"]):
            text = f"{row['verdict']}; the difference is {_estimate(row)}, and the claim holds if it is {holds(row)}."
        yield Answer(
            f"Claim \N{LEFT DOUBLE QUOTATION MARK}{row['claim']}\N{RIGHT DOUBLE QUOTATION MARK}", f"{text}{_note(row)}"
        )


def _estimate(row: pd.Series) -> str:
    unit = unit_of(row["metric"])
    text = f"{unit.signed(row['estimate'])} {unit.name}"
    if not row["low"] < row["high"]:
        return f"{text} (n = {row['n']})"
    interval = f"{unit.signed(row['low'])} to {unit.signed(row['high'])}"
    p_value = formats.p_value(row["p_adjusted"])
    return f"{text} ({interval}, n = {row['n']}, adjusted p {p_value if p_value[0] == '<' else f'= {p_value}'})"


def _note(row: pd.Series) -> str:
    return f" {row['note'][0].upper()}{row['note'][1:]}." if row["note"] else ""


def _looks(results: Results) -> Iterator[Answer]:
    """How often claims were looked at, and how many replicates that gave to which cells."""
    made = looks_made(results)
    if not made:
        return
    numbers = [f"{look.replicates}" for look in made if look.index >= 0]
    after = (
        f"after {' and '.join(numbers)} replicates" if numbers else f"the first is after {made[0].wanted} replicates"
    )
    wanted = results.trials[results.trials["status"] != "excluded"].groupby("cell")["replicate"].max()
    cells = "; ".join(
        f"{formats.plural(int(count), 'cell')} with {replicates}"
        for replicates, count in wanted.value_counts().sort_index().items()
    )
    yield Answer(
        "Replicates", f"added until claims are decided; {formats.plural(len(numbers), 'look')}, {after}; {cells}."
    )


def _baseline(results: Results) -> Answer:
    row = results.cells.iloc[0]
    if row["n"] == 0:
        return Answer("Baseline", "no trial of it has finished, so nothing can be compared with it.")
    sizes = f"{formats.short(row['params'])} parameters and {formats.short(row['macs'])} multiply-adds"
    return Answer("Baseline", f"{_mean(row)} test accuracy with {sizes}.")


def _mean(row: pd.Series) -> str:
    if row["n"] == 1:
        return f"{formats.percent(row['mean'])}{formats.PERCENT} (n = 1, so no interval)"
    if row["low"] == row["high"]:
        return f"{formats.percent(row['mean'])}{formats.PERCENT} (in each of {row['n']} replicates)"
    interval = f"{formats.percent(row['low'])} to {formats.percent(row['high'])}"
    return f"{formats.percent(row['mean'])}{formats.PERCENT} (95{formats.PERCENT} interval {interval}, n = {row['n']})"


def _verdict(results: Results) -> Answer:
    """How many changes matter, before which."""
    compared = results.effects[results.effects["n"] > 0]
    clear = compared[compared["distinguishable"]]
    about = "What matters"
    if compared.empty:
        return Answer(about, "no level has been compared with the baseline's yet.")
    if (compared["n"] < 2).all():
        return Answer(about, "one replicate each, so no interval: no change can be told from chance.")
    if clear.empty:
        everything = "the one change" if len(compared) == 1 else f"none of the {len(compared)} changes"
        word = "is not distinguishable" if len(compared) == 1 else "is distinguishable"
        return Answer(about, f"{everything} {word} from the baseline at 95 %.")
    sure = int((clear["p_adjusted"] < 0.05).sum())
    still = [name for name in compared["factor"].unique() if name not in set(clear["factor"])]
    verb = "is" if len(clear) == 1 else "are"
    text = f"{len(clear)} of {formats.plural(len(compared), 'change')} {verb} distinguishable from the baseline "
    text += f"at 95 %, in: {', '.join(clear['factor'].unique())} ({sure} after Holm's correction for all comparisons)."
    return Answer(about, text + (f" Not distinguishable at any level: {', '.join(still)}." if still else ""))


def _factor(name: object, levels: pd.DataFrame, matched: bool) -> Answer:
    """A factor's levels, the clearest first."""
    order = levels.assign(size=levels["difference"].abs()).sort_values(
        ["distinguishable", "size"], ascending=False, kind="stable"
    )
    told = [_level(row) for _, row in order.head(MOST).iterrows()]
    more = f"; {len(order) - MOST} more in the table of effects" if len(order) > MOST else ""
    first = levels.iloc[0]
    counts = sorted({int(number) for number in levels["combinations"] if number})
    averaged = " or ".join(str(number) for number in counts)  # exclusions leave some levels fewer
    over = f", averaged over {averaged} combinations of the other factors" if counts and counts[-1] > 1 else ""
    over = over if matched else ", adjusted for the other factors"
    return Answer(str(name), f"against {first['baseline']}{over}: {'; '.join(told)}{more}.")


def _level(row: pd.Series) -> str:
    if row["n"] == 0:
        return f"{row['level']} has not been compared yet"
    change = f"{row['level']} gives {formats.points(row['difference'])} points"
    if row["n"] == 1:
        return f"{change} (n = 1, so no interval)"
    if row["low"] == row["high"]:
        return f"{change} (in each of {row['n']} replicates; without spread there is no test)"
    verdict = "distinguishable" if row["distinguishable"] else "not distinguishable"
    if row["distinguishable"] and row["p_adjusted"] >= 0.05:
        verdict += " alone, but not after Holm's correction"
    return f"{change} ({formats.points(row['low'])} to {formats.points(row['high'])}, n = {row['n']}), {verdict}"


def _interactions(results: Results) -> Iterator[Answer]:
    """Where the variance lies, and which factors depend on each other."""
    table = factorial.anova(results)
    tested = table[table["kind"].isin(["main", "interaction"]) & (table["df"] > 0)]
    if tested.empty or tested["p_adjusted"].isna().all():
        return
    ranked = tested.sort_values("eta_squared", ascending=False, kind="stable")
    shares = [f"{row['term']} {formats.percent(row['eta_squared'])}{formats.PERCENT}" for _, row in ranked.iterrows()]
    chance = table.loc[table["kind"] == "error", "eta_squared"].iloc[0]
    text = f"{', '.join(shares[:MOST])}; chance {formats.percent(chance)}{formats.PERCENT}."
    yield Answer("Shares of variance", text)
    pairs = ranked[ranked["kind"] == "interaction"]
    if pairs.empty:
        return
    clear = pairs[pairs["p_adjusted"] < ALPHA]
    told = [f"{row['term']} (p {formats.p_value(row['p_adjusted'])})" for _, row in clear.head(MOST).iterrows()]
    found = f": {', '.join(told)}; there a factor's effect depends on the other" if told else ""
    which = f"{len(clear)} of {formats.plural(len(pairs), 'interaction')} of two factors"
    verb = "is" if len(clear) == 1 else "are"
    yield Answer("Interactions", f"{which} {verb} distinguishable from chance after Holm's correction{found}.")


def _adding(results: Results) -> Iterator[Answer]:
    """Where a part is worth something else in the full model than in the bare one."""
    parts = adding_and_removing(results)
    tested = parts[parts["p_adjusted"].notna()]
    if tested.empty:
        return
    differ = tested[tested["p_adjusted"] < ALPHA]
    told = [
        f"{row['part']} is worth {formats.points(row['full_gain'])} points in the full model and "
        f"{formats.points(row['bare_gain'])} in the bare one (difference {formats.points(row['difference'])}, p "
        f"{formats.p_value(row['p_adjusted'])} after Holm's correction)"
        for _, row in differ.iterrows()
    ]
    alike = [name for name in tested["part"] if name not in set(differ["part"])]
    same = f"adding and removing do not distinguishably disagree on {', '.join(alike)}"
    text = "; ".join([*told, same] if alike else told)
    disagree = " Where they disagree, the part interacts with the others." if told else ""
    yield Answer("Adding against removing", f"{text}.{disagree}")


def _pretraining(results: Results) -> Iterator[Answer]:
    """Said apart from the factors only where several sets of cells can be compared."""
    table = pretraining(results)
    compared = table[(table["pairs"] > 0) & (table["reference"] != table["cell"])]
    if table["group"].nunique() < 2:
        return
    scratch = {row["cell"] for _, row in table.iterrows() if row["kind"] == SCRATCH}
    compared = compared[compared["reference"].isin(scratch)]
    for kind, rows in compared.groupby("kind", sort=False):
        better = int((rows["difference_low"] > 0).sum())
        worse = int((rows["difference_high"] < 0).sum())
        text = f"{formats.points(rows['difference'].mean())} points against training from scratch on average; "
        text += f"distinguishably better in {better} and worse in {worse} of {formats.plural(len(rows), 'comparison')}."
        yield Answer("Transfer" if kind == "transfer" else "Pre-training on the same data", text)


def _front(results: Results) -> Iterator[Answer]:
    """The Pareto front by point estimates, the smallest model first."""
    front = results.cells[results.cells["front"]].sort_values(["params", "number"])
    if len(results.cells) < 2 or front.empty:
        return
    shown = [
        f"{row['cell']} ({formats.short(row['params'])}, {formats.percent(row['mean'])}{formats.PERCENT})"
        for _, row in front.head(MOST).iterrows()
    ]
    more = f"; and {len(front) - MOST} more" if len(front) > MOST else ""
    yield Answer(
        "Fewest parameters for their accuracy", "; ".join(shown) + more + ". By means alone, without intervals."
    )


def _certainty(results: Results) -> Iterator[Answer]:
    compared = results.effects[results.effects["sd"] > 0]
    if compared.empty:
        return
    n = int(compared["n"].median())
    sd = float(compared["sd"].median())
    smallest = formats.points(detectable_effect(n, sd)).lstrip("+")
    worth = smallest_of_interest(results.facts)
    needed = needed_replicates(worth, sd)
    paired = "paired by replicate" if is_matched(results.facts) else "from a fit of all cells"
    text = f"intervals are 95 %, {paired}, each on its own. "
    text += f"At the median spread of all changes, n = {n} finds a true difference of about {smallest} points four "
    text += "times in five; most smaller ones stay unseen, so not distinguishable does not mean equal."
    if needed is not None and needed > n:
        text += f" Finding one of {points(worth)} as often would take about {needed:,} replicates."
    yield Answer("How sure", text)


def _search(results: Results) -> Iterator[Answer]:
    found, facts = searched(results), results.facts.tuning
    if facts is None or not facts.searches:
        return
    front = found[found["on_front"]]
    told = [
        f"trial {row['trial']} ({formats.short(row['params'])} parameters, validation "
        f"{formats.percent(row['val_accuracy'])}{formats.PERCENT}, test {formats.percent(row['test_accuracy'])}"
        f"{formats.PERCENT})"
        for _, row in front.head(MOST).iterrows()
    ]
    more = f"; and {len(front) - MOST} more" if len(front) > MOST else ""
    stopped = int((results.tuning["status"] == "stopped").sum())
    early = f" and {stopped} stopped early" if stopped else ""
    failed = results.tuning[results.tuning["status"] == "failed"]
    lost = f", {len(failed)} failed (the first: {failed['reason'].iloc[0]})" if len(failed) else ""
    text = f"{len(found)} of {formats.plural(facts.budget, 'trial')} finished{early}{lost}; "
    what = f"on the Pareto front of {' and '.join(facts.objectives)}" if len(facts.objectives) > 1 else "the best"
    yield Answer("Search", f"{text}{what}: {'; '.join(told) or 'nothing yet'}{more}.")


def _tuning(results: Results) -> Iterator[Answer]:
    if results.facts.tuning is None or results.facts.tuning.searches:
        return
    text = f"every cell was tuned with {formats.plural(results.facts.tuning.budget, 'trial')}, on validation data alone"
    warnings = list(edge_sentences(results))
    yield Answer("Tuning", f"{text}{''.join(f'; {warning}' for warning in warnings)}.")


def _unfinished(results: Results) -> Iterator[Answer]:
    counts = results.trials["status"].value_counts()
    parts = [f"{counts[status]:,} {status}" for status in ("failed", "missing") if counts.get(status)]
    if parts:
        wanted = formats.plural(_wanted(results), "trial")
        yield Answer("Not finished", f"{' and '.join(parts)} of {wanted}; all numbers rest on the others.")
    if counts.get("excluded"):
        yield Answer("Left out by design", f"{formats.plural(int(counts['excluded']), 'cell')}, with reasons below.")


def _wanted(results: Results) -> int:
    return int((results.trials["status"] != "excluded").sum())
