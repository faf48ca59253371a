"""The file of predictions in a report: read back exactly, small, and the same bytes for the same predictions."""

import numpy as np
import pytest

from study.analysis.predictions import Predicted, decode, encode


def made(classes: int, trials: int = 3, images: int = 50, error: float = 0.1, seed: int = 0) -> Predicted:
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, classes, images)
    wrong_TN = rng.random((trials, images)) < error
    predicted_TN = np.where(wrong_TN, rng.integers(0, classes, (trials, images)), labels_N)
    names = tuple(f"class {i} é" for i in range(classes))
    keys = tuple(f"{seed}{i:063x}" for i in range(trials))
    return Predicted(f"{seed}" * 64, labels_N, names, keys, predicted_TN)


@pytest.mark.parametrize("classes", [1, 2, 10, 256, 257, 1000])
def test_predictions_are_read_back_exactly(classes: int) -> None:
    written = (made(classes), made(2, trials=1, images=7, seed=1))
    again = decode(encode(written))
    assert encode(again) == encode(written)
    for one, other in zip(again, written, strict=True):
        assert (one.images, one.class_names, one.keys) == (other.images, other.class_names, other.keys)
        assert np.array_equal(one.labels_N, other.labels_N)
        assert np.array_equal(one.predicted_TN, other.predicted_TN)


def test_no_predictions_are_read_back_as_none() -> None:
    assert decode(encode(())) == ()


@pytest.mark.parametrize("data", [b"", b"nothing", encode((made(2),))[:-30]])
def test_other_content_is_invalid(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (any message)
        decode(data)


def test_a_hundred_trials_on_ten_thousand_images_take_hundreds_of_kilobytes() -> None:
    assert len(encode((made(10, trials=100, images=10_000, error=0.05),))) < 400_000
    assert len(encode((made(10, trials=45, images=451, error=0.03),))) < 12_000


def test_a_class_without_a_name_has_its_number() -> None:
    named, unnamed = made(3), Predicted("", np.array([0, 2]), (), ("k",), np.array([[1, 2]]))
    assert (named.name(1), unnamed.name(1)) == ("class 1 é", "1")
    assert (named.classes, unnamed.classes) == (3, 3)
