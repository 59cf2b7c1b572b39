"""Key material in every notation that users have, read into a ``model.KeyRing`` and written out again."""
