"""Published results on CIFAR, from `reference_models.csv`; each row has its source."""

from pathlib import Path

import pandas as pd

from study.analysis.facts import StudyFacts

FILE = Path(__file__).with_name("reference_models.csv")
DATASETS = ("cifar10", "cifar100")
COLUMNS = ["data_set", "model", "family", "params_m", "top1", "epochs", "training", "source"]


def datasets_of(facts: StudyFacts) -> list[str]:
    """The data sets of fine-tuning with published results, the baseline's first."""
    used = dict.fromkeys(cell.finetune_dataset for cell in facts.included)
    return [name for name in used if name in DATASETS]


def published_for(facts: StudyFacts) -> pd.DataFrame:
    """Published results on the study's data sets, smallest model first; `params_m` in millions, `top1` in %.

    Empty for other data sets. A source with a single parameter count gives that of the 10-class model.
    """
    tables = [_published_on(name) for name in datasets_of(facts)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def _published_on(dataset: str) -> pd.DataFrame:
    rows = pd.read_csv(FILE, keep_default_na=False, na_values={name: [""] for name in ("epochs", *_NUMBERS)})
    rows["params_m"] = rows[f"params_m_{dataset}"].fillna(rows["params_m_cifar10"])
    rows = rows.assign(top1=rows[f"{dataset}_top1"], data_set=dataset)
    return rows.dropna(subset=["top1"]).sort_values("params_m", kind="stable")[COLUMNS]


_NUMBERS = [f"params_m_{name}" for name in DATASETS] + [f"{name}_top1" for name in DATASETS]
