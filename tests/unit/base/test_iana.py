import pytest

from ipsectest.base.iana import ExchangeType, NotifyType, PayloadType, TransformType, name_of, transform_name


@pytest.mark.parametrize(
    ("number", "name"), [(33, "SA"), (46, "SK"), (53, "SKF"), (48, "EAP"), (200, "200"), (-1, "-1")]
)
def test_a_number_is_named_or_shown(number: int, name: str) -> None:
    assert name_of(PayloadType, number) == name


def test_registry_reaches_the_newest_exchanges_and_transform_types() -> None:
    assert ExchangeType.IKE_FOLLOWUP_KE == 44
    assert TransformType.ADDKE7 == 12
    assert transform_name(TransformType.ADDKE7, 37) == "ML_KEM_1024"
    assert transform_name(99, 5) == "5"


@pytest.mark.parametrize("notify", list(NotifyType))
def test_errors_lie_below_16384(notify: NotifyType) -> None:
    # RFC 7296 section 3.10.1
    assert notify.is_error == (notify < 16384)
