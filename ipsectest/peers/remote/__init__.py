"""Peers that run already, at an address: their description, what of a case fits it, and the user's adapter program."""

from pathlib import Path

EXAMPLE = Path(__file__).with_name("example.toml")
"""A description to fill in."""
