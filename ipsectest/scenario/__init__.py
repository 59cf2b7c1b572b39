"""Scenario files: notation, lint and the sans-IO step engine; the ports that peers and labs implement."""
