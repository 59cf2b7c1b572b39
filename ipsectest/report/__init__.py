"""Turns the record of a run into report.json, JUnit XML, terminal text, Markdown and HTML."""
