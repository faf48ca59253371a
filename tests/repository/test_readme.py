"""The README is held to what there is."""

import re

from helpers.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_part_has_its_line() -> None:
    """Each module and package directly under study/ stands in the table of parts, and nothing else does."""
    there = {path.name if path.suffix else f"{path.name}/" for path in (ROOT / "study").iterdir()}
    there -= {"__init__.py", "__pycache__/"}
    named = set(re.findall(r"`study/([a-z_]+(?:\.py|/))`", README))
    assert named == there


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_verb_is_named() -> None:
    from study.cli.app import app

    verbs = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert verbs <= set(re.findall(r"python -m study ([a-z]+)", README))
