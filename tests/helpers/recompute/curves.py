"""Learning curves and the load of experts."""

from collections.abc import Iterator

from helpers.recompute.files import Expected, Raw


def curves(raw: Raw) -> Iterator[Expected]:
    """Mean, smallest and largest validation accuracy of a cell's fine-tuning at each epoch."""
    file = "figures/finetune_curves.csv"
    if not raw.has(file):
        return
    history = raw.history()
    history = history[(history["stage"] == "finetune") & history["val_accuracy"].notna()]
    merged = raw.done[["cell", "key"]].merge(history, on="key")
    for (cell, epoch), own in merged.groupby(["cell", "epoch"]):
        values = own["val_accuracy"]
        found = {"n": len(values), "mean": values.mean(), "low": values.min(), "high": values.max()}
        yield from (Expected(file, {"cell": cell, "epoch": int(epoch)}, name, value) for name, value in found.items())
    yield from _pretraining(raw)


def _pretraining(raw: Raw) -> Iterator[Expected]:
    """The same for validation losses of pre-training; cells that share it are one curve, named by its first cell."""
    file = "figures/pretrain_curves.csv"
    if not raw.has(file):
        return
    history = raw.history()
    history = history[(history["stage"] == "pretrain") & history["val_loss"].notna()]
    trials = raw.trials[raw.trials["pretrain_key"] != ""]
    first = dict(trials.drop_duplicates("cell")[["cell", "pretrain_key"]].itertuples(index=False))
    names = {name.split(", shared with ")[0]: name for name in raw.derived(file)["cell"].unique()}
    for key in dict.fromkeys(first.values()):
        cells = [cell for cell, own in first.items() if own == key]
        keys = trials.loc[trials["cell"].isin(cells), "pretrain_key"]
        for epoch, own in history[history["key"].isin(keys)].groupby("epoch"):
            cell = names[cells[0]]
            values = own["val_loss"]
            found = {"n": len(values), "mean": values.mean(), "low": values.min(), "high": values.max()}
            yield from (
                Expected(file, {"cell": cell, "epoch": int(epoch)}, name, value) for name, value in found.items()
            )


def expert_load(raw: Raw) -> Iterator[Expected]:
    """The load of each expert in even shares, by rank within its block."""
    file = "figures/expert_load.csv"
    if not raw.has(file):
        return
    load = raw.expert_load()
    load = load[load["stage"] == "finetune"]
    for _, trial in raw.done.iterrows():
        for block, own in load[load["key"] == trial["key"]].groupby("block"):
            if len(own) < 2:
                continue
            place = {"cell": trial["cell"], "replicate": trial["replicate"], "block": int(block)}
            for rank, share in enumerate(sorted(own["share"], reverse=True), start=1):
                yield Expected(file, {**place, "rank": rank}, "load", share * len(own))
