"""Text of a capture or a log, made harmless for a terminal."""


def printable(text: str) -> str:
    """The same with ``?`` for what would speak to the terminal of whoever reads it."""
    return text if text.isprintable() else "".join(one if one.isprintable() else "?" for one in text)
