"""The strategies of the model tests draw every setting: a setting without a closed form cannot go unnoticed."""

import pytest
from helpers.model_samples import encoders, pretrains
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from study.vit import settings as config

ARCHITECTURE = config.Pretrain.model_fields.keys() - config.Recipe.model_fields.keys()


@pytest.mark.parametrize(
    ("strategy", "fields"),
    [
        (encoders(), config.Encoder.model_fields.keys()),
        (pretrains(4), ARCHITECTURE),
        (pretrains(4).map(lambda pretrain: pretrain.decoder), config.Decoder.model_fields.keys()),
    ],
    ids=["Encoder", "Pretrain", "Decoder"],
)
def test_every_setting_takes_several_values(strategy: st.SearchStrategy[BaseModel], fields: set[str]) -> None:
    samples: list[BaseModel] = []

    @settings(max_examples=60, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(strategy)
    def collect(sample: BaseModel) -> None:
        samples.append(sample)

    collect()
    assert [name for name in fields if len({getattr(sample, name) for sample in samples}) < 2] == []
