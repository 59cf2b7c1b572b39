"""Captures that nobody here made, out of source packages of Debian: unpacked into a cache, never into the project."""
