"""Which form the output takes: asked for, or told by the file's suffix, or by where it goes."""

from pathlib import Path
from typing import Final, Literal, get_args

from bus.errors import SettingsError

Form = Literal["table", "jsonl", "csv", "parquet"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)
_BY_SUFFIX: Final[dict[str, Form]] = {".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}


def form_of(asked: str | None, path: Path | None, *, is_terminal: bool) -> Form:
    """The form of the output.

    Args:
        asked: What the user named, if anything.
        path: The output file; None for standard output.
        is_terminal: Whether standard output is one.

    Raises:
        SettingsError: There is no such form, or none for the suffix, or it needs a file.
    """
    if asked is not None:
        form = _named(asked)
        if form == "parquet" and path is None:
            raise SettingsError("--format parquet is for files; add -o FILE")
        return form
    if path is None:
        return "table" if is_terminal else "jsonl"
    found = _BY_SUFFIX.get(path.suffix.lower())
    if found is None:
        known = " ".join(_BY_SUFFIX)
        raise SettingsError(f"no format for {str(path)!r}; end its name in one of: {known}, or say --format")
    return found


def _named(asked: str) -> Form:
    for form in FORMS:
        if form == asked:
            return form
    raise SettingsError(f"--format {asked[:80]!r} is none of: {' '.join(FORMS)}")
