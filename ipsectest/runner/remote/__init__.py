"""Runs against peers that are there already: sockets instead of a lab, and nothing that can be restarted."""
