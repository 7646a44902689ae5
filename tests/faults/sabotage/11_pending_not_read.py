"""An aligner that takes a group over does not read what its predecessor had been given and not acknowledged."""

from typing import Any

from workers.aligner.group import GroupAligner

_begin = GroupAligner.__init__


def _forgetful(self: GroupAligner, *args: Any, **more: Any) -> None:
    _begin(self, *args, **more)
    self._unread = {}
    self._full = set(self._series)


GroupAligner.__init__ = _forgetful  # type: ignore[method-assign]
