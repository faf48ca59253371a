"""`study data`: prepares data sets."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from study.utils.escape import terminal as escape
from study.utils.paths import expanded
from study.utils.text import plural

data = typer.Typer(no_args_is_help=True, add_completion=False, help="Prepare your own data sets.")


@data.callback()
def options() -> None:
    """Keeps `convert` a command of its own, although it is the only one."""


@data.command()
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="A .npz file or folder of .npy files, torchvision's CIFAR or MNIST folder, a folder of save_to_disk, "
            "or a .csv file with paths and labels."
        ),
    ],
    output: Annotated[Path, typer.Argument(help="Folder for one Parquet file per split, or NAME.parquet.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the Parquet files in OUTPUT.")] = False,
) -> None:
    """Convert a data set to Parquet files that a grid names as parquet:OUTPUT."""
    from study.vit import subject

    counts = subject.convert_data(expanded(source), expanded(output), overwrite)
    found = ", ".join(f"{split} {plural(images, 'image')}" for split, images in counts.items())
    line = f"{output}: {found}; in a grid: parquet:{output}"
    Console(soft_wrap=True).print(escape(line), highlight=False)
