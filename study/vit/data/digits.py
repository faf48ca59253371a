"""scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels that are part of the package; needs no network."""

from fractions import Fraction
from importlib.metadata import version

import numpy as np

from study.vit.data.arrays import Decoded, select
from study.vit.data.dataset import DatasetInfo
from study.vit.data.images import fit
from study.vit.data.source import Source
from study.vit.data.splits import fingerprints, percent, split_by_content

SHARES: dict[str, Fraction] = {"validation": Fraction(15, 100), "test": Fraction(25, 100)}


class Digits(Source):
    """Values 0 to 16 become (255 v + 8) // 16: 0 stays 0, 8 becomes 128, 16 becomes 255."""

    def describe(self) -> DatasetInfo:
        return DatasetInfo(
            name=self.name,
            image_size=8,
            channels=1,
            classes=10,
            splits={"train": 1077, "validation": 269, "test": 451},
            description="handwritten digits, 8 x 8 grey; split by image, so writers may be shared between splits",
            source="scikit-learn's load_digits: Alpaydin and Kaynak, UCI 1998, doi:10.24432/C50P49 (its test part)",
            licence="CC BY 4.0",
            class_names=tuple("0123456789"),
            origins={split: f"{percent(share)}, by content" for split, share in SHARES.items()},
        )

    def fingerprint(self) -> str:
        return f"1, scikit-learn {version('scikit-learn')}"

    def shares(self) -> dict[str, Fraction]:
        return SHARES

    def read(self, size: int) -> Decoded:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]

        values_NV, labels_N = load_digits(return_X_y=True)
        images_NCHW = ((255 * values_NV.astype(np.int64) + 8) // 16).astype(np.uint8).reshape(-1, 1, 8, 8)
        prints = fingerprints(image.tobytes() for image in images_NCHW)
        chosen = split_by_content(prints, labels_N.tolist(), SHARES)
        return Decoded(self.describe(), select(fit(images_NCHW, size), labels_N.astype(np.int64), chosen, prints))
