import pytest

from tests.unit.runner.runner_fakes import Echo


@pytest.fixture
def echo() -> Echo:
    return Echo()
