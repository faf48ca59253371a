"""A real MLflow server for the tests of one file."""

from collections.abc import Iterator

import pytest
from helpers.mlflow_servers import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    made.start()
    yield made
    made.kill()
