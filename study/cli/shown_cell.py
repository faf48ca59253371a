"""A cell as `study show` prints it."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from study.design.study import Cell, Trial
from study.planning.state import StudyState
from study.utils import formats
from study.utils.escape import terminal as escape

METRICS = ("test_accuracy", "val_accuracy", "train_seconds")
DIGITS = 12  # of keys


@dataclass(frozen=True)
class CellView:
    """A cell of a study, and its requested trials."""

    state: StudyState
    cell: Cell
    trials: list[Trial]

    def as_json(self) -> dict[str, Any]:
        settings = self.cell.settings
        return {
            "study": self.state.study.name,
            "cell": self.cell.name,
            "levels": dict(self.cell.labels),
            "changed": list(self.cell.changed),
            "excluded": self.cell.excluded,
            "settings": settings and settings.model_dump(mode="json"),
            "trials": self._rows(),
        }

    def show(self, console: Console) -> None:
        console.print(f"[bold]{escape(self.state.study.name)}/{escape(self.cell.name)}[/]", highlight=False)
        for factor, label in self.cell.labels.items():
            mark = " (changed)" if factor in self.cell.changed else ""
            console.print(f"{escape(factor)}: {escape(label)}{mark}", highlight=False)
        if self.cell.excluded is not None:
            console.print(f"excluded: {escape(self.cell.excluded)}", highlight=False)
            return
        table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
        for name in ("trial", "status", "test", "validation", "seconds", "stages"):
            table.add_column(name, no_wrap=name != "stages", overflow="fold")
        for row in self._rows():
            keys = " ".join(key[:DIGITS] for key in row["keys"])
            table.add_row(row["trial"], row["status"], *(formats.significant(row[name], 4) for name in METRICS), keys)
        console.print(table)

    def _rows(self) -> list[dict[str, Any]]:
        """Raises StoreError."""
        found = self.state.observed.table(self.trials, METRICS)
        return [
            {
                "trial": trial.tag,
                "status": row["status"],
                "keys": [stage.key for stage in self.state.stages_of(trial)],
                **{name: None if row[name] != row[name] else row[name] for name in METRICS},
            }
            for trial, row in zip(self.trials, found.to_dict("records"), strict=True)
        ]
