"""The keys of a case for its report."""

from ipsectest.scenario.session import Session


def tables(session: Session) -> dict[str, str]:
    """File name -> text."""
    del session
    return {}
