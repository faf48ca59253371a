"""Keys in the files of a report: results.csv has all digits, files that repeat a key in many rows the first ones."""

import pandas as pd

KEY_DIGITS = 12


def shortened(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the first digits of their `key`."""
    return rows.assign(key=rows["key"].str[:KEY_DIGITS])


def completed(rows: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """The rows with all digits of their `key`, which is that of a trial or of its pre-training."""
    keys = {key[:KEY_DIGITS]: key for name in ("key", "pretrain_key") for key in trials[name] if key}
    return rows.assign(key=pd.Series([keys.get(key[:KEY_DIGITS], key) for key in rows["key"]], rows.index, "str"))
