"""The floor of the house: IANA numbers, errors and the clock protocol."""
