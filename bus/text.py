"""Text from elsewhere in a form that forges no line and drives no terminal."""


def printable(text: str, most: int) -> str:
    """At most so many characters of the text, each that is not printable written as its escape.

    Line ends and other control characters, marks that turn the direction of writing, and halves of surrogate pairs are
    not printable.
    """
    cut = text[:most]
    return cut if cut.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)[:most]


def address(url: str) -> str:
    """The URL for messages: without user and password, and without a query, which may hold some too.

    What stands before the last ``@`` goes, wherever that is: a password that was not escaped may contain anything.
    """
    before, at, after = url.rpartition("@")
    shown = f"{before.partition('://')[0]}://…@{after}" if at else url
    return printable(shown.partition("?")[0].partition("#")[0], 200)
