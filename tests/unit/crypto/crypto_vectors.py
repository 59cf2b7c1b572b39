"""Published vectors, read from tests/vectors/crypto."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "vectors" / "crypto"


class Vector(dict[str, Any]):
    """One table of a vector file."""

    def octets(self, name: str) -> bytes:
        """A hexadecimal entry; absent ones are empty."""
        return bytes.fromhex(self.get(name, ""))


def load(name: str, table: str = "vector") -> list[Any]:
    """All vectors of a file as pytest parameters, named by their source."""
    with (FOLDER / f"{name}.toml").open("rb") as file:
        return [pytest.param(Vector(entry), id=entry["source"]) for entry in tomllib.load(file)[table]]
