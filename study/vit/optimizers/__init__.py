"""Optimizers, one file each.

adamw, sgd   each defines `build`

Importing this package never imports torch: the settings are built from the names in the table.
"""

TABLE: dict[str, str] = {  # value of the setting `optimizer`: file and function
    "adamw": "study.vit.optimizers.adamw:build",
    "sgd": "study.vit.optimizers.sgd:build",
}
