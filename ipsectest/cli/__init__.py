"""The command line: one sub-command per file, each imported only when it is called."""
