import pytest
from runner_fakes import Echo


@pytest.fixture
def echo() -> Echo:
    return Echo()
