"""Logs of daemons: ``charon`` and ``pluto`` read lines into SAs, their rule tables turn lines into findings."""
