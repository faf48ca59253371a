"""Joining a cluster."""

import pytest
from helpers.ports import free_port

from study import execution
from study.utils.errors import StudyError


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "no-such-host.invalid"])
def test_an_address_where_nothing_listens_is_one_message(host: str) -> None:
    address = f"{host}:{free_port()}"
    with pytest.raises(StudyError, match="no Ray cluster is listening there") as raised:
        execution.connect(address)
    assert address in str(raised.value)


def test_a_port_number_that_does_not_exist() -> None:
    with pytest.raises(StudyError, match=r"--address 127\.0\.0\.1:99999: no Ray cluster is listening there"):
        execution.connect("127.0.0.1:99999")
