"""The history of claims, and what is stated about it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.design.claims import ClaimSpec
from study.design.registration import Entry, RegisteredClaim, registered, sentence, standings

TIME = "2026-01-02T03:04:05+00:00"


def entry(results: int, claims: dict[str, float], most: int = 6, least: int = 3) -> Entry:
    """Claims by their sentence, each with a margin."""
    made = tuple(RegisteredClaim(claim=name, judged={"margin": margin, "of": name}) for name, margin in claims.items())
    return Entry(time=TIME, results=results, minimum=least, maximum=most, claims=made)


@pytest.mark.parametrize(
    ("history", "now", "expected"),
    [
        ([], entry(0, {"a": 1}), "the claim is not registered yet: run registers it"),
        ([], entry(5, {"a": 1}), "the time of the claims is not recorded"),
        ([entry(0, {"a": 1})], entry(9, {"a": 1}), "the claim was written before any result was stored (registered"),
        (
            [entry(0, {"a": 1, "b": 1})],
            entry(9, {"a": 1, "b": 1}),
            "both claims were written before any result was stored (registered 2026-01-02 03:04 UTC)",
        ),
        ([entry(5, {"a": 1})], entry(9, {"a": 1}), "first recorded after 5 results; when it was written is"),
        ([entry(0, {"a": 1}), entry(5, {"a": 1, "b": 1})], entry(9, {"a": 1, "b": 1}), "claim 2 was written after 5"),
        ([entry(0, {"a": 1}), entry(1, {"a": 2})], entry(9, {"a": 2}), "the claim changed after 1 result (reg"),
        ([entry(0, {"a": 1})], entry(12, {"a": 1, "b": 1}), "claim 2 is not registered: it was written after 12"),
        ([entry(0, {"a": 1})], entry(0, {"a": 2}), "the claim is not registered yet: run registers it"),
        (
            [entry(0, {"a": 1}), entry(0, {"a": 2})],
            entry(9, {"a": 2}),
            "the claim was written before any result with the settings and data of that time was stored (registered",
        ),
        ([entry(0, {"a": 1})], entry(12, {"a": 2}), "the claim is not registered: it was written after 12 results"),
        ([entry(0, {"a": 1}), entry(4, {}), entry(8, {"a": 1})], entry(9, {"a": 1}), "removed, and added again after"),
        ([entry(0, {"a": 1}), entry(4, {"a": 2}), entry(8, {"a": 1})], entry(9, {"a": 1}), "the claim changed after 8"),
        (
            [entry(0, {"a": 1, "b": 1, "c": 1}), entry(8, {"a": 1})],
            entry(9, {"a": 1}),
            "(registered 2026-01-02 03:04 UTC); 2 claims removed after 8 results",
        ),
        ([entry(0, {"a": 1, "b": 1})], entry(9, {"a": 1}), "; 1 claim removed after 9 results, not registered"),
        ([entry(0, {"a": 1}), entry(6, {"a": 1}, 12)], entry(9, {"a": 1}, 12), "; max raised from 6 to 12 after 6 re"),
        ([entry(0, {"a": 1})], entry(9, {"a": 1}, 12), "; max raised from 6 to 12 after 9 results, not registered"),
        (
            [entry(0, {"a": 1}, 3, 3), entry(9, {"a": 1}, 5, 5)],
            entry(15, {"a": 1}, 5, 5),
            "; replicates raised from 3 to 5 after 9 results",
        ),
    ],
)  # fmt: skip
def test_sentences(history: list[Entry], now: Entry, expected: str) -> None:
    assert expected in sentence(now, history)


def test_a_larger_max_before_any_result_is_not_mentioned() -> None:
    assert "raised" not in sentence(entry(9, {"a": 1}, 12), [entry(0, {"a": 1}), entry(0, {"a": 1}, 12)])


@pytest.mark.parametrize(
    ("history", "now"),
    [
        ([entry(0, {"a": 1, "b": 1}), entry(0, {"a": 1})], entry(9, {"a": 1})),  # before any result
        ([entry(0, {"a": 1, "b": 1}), entry(8, {"a": 1}), entry(9, {"a": 1, "b": 1})], entry(9, {"a": 1, "b": 1})),
        ([entry(0, {"a": 1, "b": 1}), entry(8, {"a": 1, "b": 2})], entry(9, {"a": 1, "b": 2})),  # changed
    ],
)
def test_claims_that_are_not_missing_are_not_removed(history: list[Entry], now: Entry) -> None:
    assert "claim removed" not in sentence(now, history)


def test_a_claim_in_other_words_is_not_removed() -> None:
    old, new = (RegisteredClaim(claim=words, judged={"margin": 1}) for words in ("a", "b"))
    history = [Entry(time=TIME, results=0, minimum=3, maximum=3, claims=(old,))]
    assert "removed" not in sentence(Entry(time=TIME, results=9, minimum=3, maximum=3, claims=(new,)), history)


def test_without_claims_nothing_is_stated() -> None:
    assert sentence(entry(9, {}, 12), [entry(0, {}), entry(6, {}, 12)]) == ""


RUNS = st.lists(st.tuples(st.integers(0, 5), st.dictionaries(st.sampled_from("abc"), st.integers(1, 2))), max_size=6)


@given(RUNS)
def test_before_any_result_is_stated_of_unbroken_claims_alone(runs: list[tuple[int, dict[str, int]]]) -> None:
    """`runs`: results added before each run, and the claims that it has. A claim counts from the first run since which
    all runs had it in its present form."""
    history, results = [], 0
    for added, claims in runs:
        results += added
        history.append(entry(results, claims))
    claims = runs[-1][1] if runs else {}
    found = standings(entry(results, claims), history)
    for name, standing in zip(claims, found, strict=True):
        first = len(history)
        while first and runs[first - 1][1].get(name) == claims[name]:
            first -= 1
        assert standing.results == history[first].results
        assert (standing.how in ("before", "anew")) is (history[first].results == 0)
        assert (standing.how == "before") is (history[first].results == 0 and first == 0)


def test_a_claim_is_recorded_as_it_is_judged() -> None:
    """Spelling does not matter: implicit baseline levels, units and the order of `where`."""
    factors = {"size": ["S", "M"], "bias": ["on", "off"], "heads": ["1", "2"]}
    keys = {"claim": "c", "kind": "non_inferior", "cells": {"size": "M"}}
    short = ClaimSpec.model_validate(keys | {"margin": "1 point", "where": {"heads": 1, "bias": ["off", "on"]}})
    full = {"against": {"size": "S"}, "margin": 0.01, "better": "higher", "where": {"bias": ["on", "off"], "heads": 1}}
    assert registered(short, factors) == registered(ClaimSpec.model_validate(keys | full), factors)
    assert registered(short, factors).judged == {
        "kind": "non_inferior",
        "metric": "test_accuracy",
        "cells": {"size": "M"},
        "against": {"size": "S"},
        "where": {"bias": ["off", "on"], "heads": ["1"]},
        "margin": 0.01,
        "direction": "either",
        "better": "higher",
    }


def test_another_factor_does_not_change_a_claim_about_a_number() -> None:
    claim = ClaimSpec.model_validate({"claim": "c", "kind": "greater", "against": 0.5})
    assert registered(claim, {"size": ["S"]}) == registered(claim, {"size": ["S"], "bias": ["on", "off"]})


def test_no_document_states_when_claims_are_written() -> None:
    """That is derived from the record alone."""
    root = Path(__file__).parents[2]
    documents = [*root.glob("*.md"), *root.glob("grids/*"), root / "reports/README.md", *root.glob("study/**/*.py")]
    for path in documents:
        text = " ".join(path.read_text(encoding="utf-8").split())
        assert not any(words in text for words in ("written down before", "declared before", "fixed beforehand")), path
