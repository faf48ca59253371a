"""Published results on CIFAR, from `reference_models.csv`; each row has its source."""

from pathlib import Path

import pandas as pd

from study.analysis.facts import StudyFacts

FILE = Path(__file__).with_name("reference_models.csv")
DATASETS = ("cifar10", "cifar100")
COLUMNS = ["model", "family", "params_m", "top1", "epochs", "training", "source"]


def dataset_of(facts: StudyFacts) -> str | None:
    """The baseline's fine-tuning data set, if there are published results on it."""
    dataset = facts.cells[0].finetune_dataset
    return dataset if dataset in DATASETS else None


def published_for(facts: StudyFacts) -> pd.DataFrame:
    """Published results on the study's data set, smallest model first; `params_m` in millions, `top1` in %.

    Empty for other data sets. A source with a single parameter count gives that of the 10-class model.
    """
    dataset = dataset_of(facts)
    if dataset is None:
        return pd.DataFrame(columns=COLUMNS)
    rows = pd.read_csv(FILE, keep_default_na=False, na_values={name: [""] for name in ("epochs", *_NUMBERS)})
    rows["params_m"] = rows[f"params_m_{dataset}"].fillna(rows["params_m_cifar10"])
    rows["top1"] = rows[f"{dataset}_top1"]
    return rows.dropna(subset=["top1"]).sort_values("params_m", kind="stable")[COLUMNS].reset_index(drop=True)


_NUMBERS = [f"params_m_{name}" for name in DATASETS] + [f"{name}_top1" for name in DATASETS]
