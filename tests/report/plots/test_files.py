"""The files of a figure, and the image that notebook and page embed."""

import base64
import io
from pathlib import Path

import pytest
from helpers.report_samples import KV_HEADS, Built, analysed, make_study
from PIL import Image

from study.report import figure
from study.report.notebook_api import COLOURS
from study.utils.errors import StudyError


def test_equal_numbers_give_equal_files(tmp_path: Path) -> None:
    results = analysed(make_study(tmp_path, KV_HEADS), tmp_path / "store")
    for folder in ("one", "two"):
        figure(results, "parameters", tmp_path / folder)
    for suffix in ("png", "svg", "pdf", "csv"):
        one, two = (tmp_path / folder / f"parameters.{suffix}" for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_the_embedded_image_is_small_and_sharp(built: Built, tmp_path: Path) -> None:
    shown = figure(built.analysis, "effects", tmp_path)
    embedded = base64.b64decode(shown.forms["image/png"])
    image = Image.open(io.BytesIO(embedded))
    assert image.mode == "P"
    assert len(image.getcolors() or []) <= COLOURS
    assert image.width >= 1.2 * int(str(shown.metadata["image/png"]["width"]))
    assert len(embedded) < (tmp_path / "effects.png").stat().st_size / 2


def test_an_unknown_figure_suggests_a_similar_name(built: Built) -> None:
    with pytest.raises(StudyError, match="did you mean 'effects'"):
        figure(built.analysis, "effect")
