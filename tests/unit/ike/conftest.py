"""Fixtures of the ike room."""

import pytest

from tests.unit.ike.hand import Hand, make_hand


@pytest.fixture
def hand() -> Hand:
    """Two well-configured ends."""
    return make_hand()
