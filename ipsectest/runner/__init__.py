"""Connects scenarios, peers and the wire: many cases at once, in earnest or in virtual time."""
