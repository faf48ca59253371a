"""Every design in the one table: its cells, and its way from the grid through plan and collection to the report."""

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from helpers.looks import make_plan
from helpers.report_samples import collected, make_study
from rich.console import Console

from study.analysis.factorial import is_factorial
from study.analysis.facts import StudyFacts
from study.cli.plan import as_json, show
from study.design import json_schema
from study.design.kinds import DESIGNS
from study.design.kinds.design import Codes, Design, DesignRequest
from study.design.study import Study
from study.design.yaml_file import Place
from study.report import Analysis, analyse, answers
from study.report.plots import PLOTS
from study.report.sections import Code, Text, outline
from study.report.tables import TABLES
from study.store.results import Store
from study.utils import escape
from study.utils.errors import StudyError

FACTORS: dict[str, Any] = {
    "bias": {"path": "encoder.bias", "levels": [True, False]},
    "flip": {"path": "finetune.augment.flip", "levels": [False, True]},
    "kv heads": {"path": "encoder.num_kv_heads", "levels": [2, 1]},
    "smoothing": {"path": "finetune.label_smoothing", "levels": [0.0, 0.1]},
}
KEYS: dict[str, dict[str, Any]] = {"search": {"search": {"trials": 2}}}  # grid keys that a design requires
BOTH_ENDS = ("leave_one_out", "add_one")
ONE_LINE = re.compile(r"\S[^\n]*\S")

Loader = Callable[[Design], Study]


@pytest.fixture(params=DESIGNS.values(), ids=lambda design: design.name)
def design(request: pytest.FixtureRequest) -> Design:
    return request.param


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """Loads a grid of four two-level factors with a design."""

    def make(design: Design) -> Study:
        return make_study(tmp_path, FACTORS, design=design.written, **KEYS.get(design.name, {}))

    return make


def request_of(study: Study) -> DesignRequest:
    return DesignRequest(study.grid, study.factors, Place(study.source))


def planned(study: Study, folder: Path) -> str:
    """The plan as printed."""
    console = Console(file=io.StringIO(), width=400)
    show(make_plan(study, Store(folder / "empty")), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def reported(analysis: Analysis) -> str:
    """The text of the report; its tables and the numbers of its figures are computed."""
    cells = outline(analysis)
    code = "\n".join(cell.written for cell in cells if isinstance(cell, Code))
    for name in re.findall(r'table\(analysis, "(\w+)"\)', code):
        assert TABLES[name].table(analysis).columns
    for name in re.findall(r'figure\(analysis, "(\w+)"\)', code):
        assert not PLOTS[name].compute(analysis).empty
    assert answers(analysis)
    return "\n".join(cell.source for cell in cells if isinstance(cell, Text))


def check_cells(study: Study) -> None:
    """The baseline first; distinct; valid codes; as many as counted."""
    design, request = study.design, request_of(study)
    cells = list(design.cells(request))
    assert cells[0] == request.baseline
    assert len(set(cells)) == len(cells) == design.count(request) == len(study.cells)
    for codes in cells:
        assert len(codes) == len(request.levels)
        assert all(0 <= code < number for code, number in zip(codes, request.levels, strict=True))
    for end in (design.full, design.bare):
        assert end is None or end(request) in cells


def check_texts(study: Study, folder: Path) -> None:
    """The description and all details are in the plan and in the report's facts."""
    texts = [study.design.summary, study.description, *study.details]
    assert all(ONE_LINE.fullmatch(text) for text in texts)
    plan = planned(study, folder)
    assert f"{study.design.name}: {study.description}\n" in plan
    assert all(detail in plan for detail in study.details)
    assert json.loads(json.dumps(as_json(make_plan(study, Store(folder / "empty")))))["design"] == study.design.name


def check_report(study: Study, folder: Path) -> None:
    """From made-up results to the report, with facts that survive JSON."""
    results = collected(study, folder / "store")
    facts = results.facts
    assert StudyFacts.model_validate_json(facts.model_dump_json()) == facts
    assert (facts.design, facts.description, list(facts.details)) == (
        study.design.written, study.description, study.details,
    )  # fmt: skip
    assert facts.full == (study.full.name if study.full else None)
    assert facts.bare == (study.bare.name if study.bare else None)
    assert is_factorial(facts) == study.design.suits_factorial_fit
    text = reported(analyse(results))
    assert f"Design `{study.design.name}`: {escape.markdown(study.description)}." in text
    assert all(escape.markdown(detail) in text for detail in study.details)


def test_it_is_registered_as_written_in_a_grid(design: Design, load: Loader) -> None:
    assert DESIGNS[design.written] is design
    assert load(design).design is design


def test_its_cells_are_distinct_and_start_with_the_baseline(design: Design, load: Loader) -> None:
    check_cells(load(design))


def test_its_texts_are_in_the_plan(design: Design, load: Loader, tmp_path: Path) -> None:
    check_texts(load(design), tmp_path)


def test_it_is_reported(design: Design, load: Loader, tmp_path: Path) -> None:
    check_report(load(design), tmp_path)


def test_the_schema_accepts_and_describes_it(design: Design, load: Loader) -> None:
    schema = json_schema.grid_schema()
    jsonschema.Draft202012Validator(schema).validate(load(design).source.data)
    assert f"{design.in_grid}: {design.summary}" in schema["properties"]["design"]["description"]


def test_its_keys_belong_to_no_other_design(design: Design) -> None:
    others = [key for other in DESIGNS.values() if other is not design for key in other.keys]
    assert not set(design.keys) & set(others)


@pytest.mark.parametrize(
    "written", ["one_factor", "leave_one_out", "add_one", BOTH_ENDS, "factorial", "fractional", "search"], ids=str
)
def test_facts_of_earlier_versions_are_read(written: str | tuple[str, ...], load: Loader, tmp_path: Path) -> None:
    """A study.json without description, details and fit suitability gives the same analysis."""
    facts = collected(load(DESIGNS[written]), tmp_path / "store").facts
    old = facts.model_dump(mode="json", exclude={"description", "details", "suits_factorial_fit"})
    found = StudyFacts.model_validate_json(json.dumps(old))
    assert is_factorial(found) == is_factorial(facts)
    assert found == facts.model_copy(update={"description": "", "details": ()})


# --- a new design ---


def _corners(request: DesignRequest) -> Iterator[Codes]:
    """The baseline, and the cell with all factors at their last level."""
    yield request.baseline
    yield tuple(number - 1 for number in request.levels)


def _at_least_two(request: DesignRequest) -> None:
    if len(request.factors) < 2:
        raise (request.top / "factors").error("design corners requires two factors")


CORNERS = Design(
    written="corners",
    summary="the two <opposite> corners of the product",
    count=lambda request: 2,
    cells=_corners,
    check=_at_least_two,
    details=lambda request: [f"Between them {len(request.factors)} factors *change*."],
    bare=lambda request: request.baseline,
    suits_factorial_fit=True,
)


def test_a_new_design_is_one_object_and_one_entry(
    monkeypatch: pytest.MonkeyPatch, load: Loader, tmp_path: Path
) -> None:
    """From grid to report, and in the schema and error messages, without any other change."""
    with pytest.raises(StudyError, match=r'design: invalid value "corners"; possible: one_factor, .*search'):
        load(CORNERS)
    monkeypatch.setitem(DESIGNS, CORNERS.written, CORNERS)
    study = load(CORNERS)
    assert [cell.name for cell in study.cells] == ["baseline", "bias=off, flip=on, kv heads=1, smoothing=0.1"]
    check_cells(study)
    check_texts(study, tmp_path)
    check_report(study, tmp_path)
    jsonschema.Draft202012Validator(json_schema.grid_schema()).validate(study.source.data)
    with pytest.raises(StudyError, match="factors: design corners requires two factors"):
        make_study(tmp_path, {"bias": FACTORS["bias"]}, design="corners")
    with pytest.raises(StudyError, match=r"Possible: .*, search, corners$"):
        make_study(tmp_path, FACTORS, design="corner")


def test_a_new_combination_of_designs_is_written_as_a_list(
    monkeypatch: pytest.MonkeyPatch, load: Loader, tmp_path: Path
) -> None:
    combined = Design(("one_factor", "corners"), "both", lambda request: 2, _corners)
    monkeypatch.setitem(DESIGNS, combined.written, combined)
    study = load(combined)
    assert (study.design.name, study.grid.design) == ("one_factor and corners", ("one_factor", "corners"))
    check_report(study, tmp_path)
