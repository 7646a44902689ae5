"""Changes a Lua script for the process that loads it: the script as it is stays in its file."""

import bus.scripts

_begun = bus.scripts.Script.__init__
_edits: dict[str, list[tuple[str, str]]] = {}


def edit_script(name: str, old: str, new: str) -> None:
    """Replace a line of a script.

    Raises:
        ValueError: The script has no such line: the sabotage is out of date.
    """
    if old not in (bus.scripts._FOLDER / f"{name}.lua").read_text():
        raise ValueError(f"{name}.lua has no {old!r}")
    _edits.setdefault(name, []).append((old, new))


def _begin(self: bus.scripts.Script, redis: object, name: str) -> None:
    _begun(self, redis, name)  # type: ignore[arg-type]
    for old, new in _edits.get(name, []):
        self._text = self._text.replace(old, new)
    self._run = redis.register_script(self._text)  # type: ignore[attr-defined]


bus.scripts.Script.__init__ = _begin  # type: ignore[method-assign, assignment]
