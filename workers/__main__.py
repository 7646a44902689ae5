"""One process: ``python -m workers worker EXCHANGE`` or ``python -m workers aligner [GROUP…]``."""

import gc
import logging
import sys
from typing import Final

from bus.errors import CandleBusError, SettingsError
from bus.logs import set_up_logging
from bus.settings import Settings, load

#: New objects after which the garbage collector looks for cycles; a few pages' worth.
_OBJECTS_A_COLLECTION: Final = 20_000


def main(arguments: list[str]) -> int:
    """Run one process until asked to stop; its exit code."""
    try:
        settings = load()
        set_up_logging(settings.log)
        _run(arguments, settings)
    except CandleBusError as error:
        logging.getLogger("candlebus").error(str(error))  # noqa: TRY400 - one line, no traceback
        return error.exit_code
    return 0


def _run(arguments: list[str], settings: Settings) -> None:
    match arguments:
        case ["worker", exchange]:
            from workers.worker import run_worker

            _collect_seldom()
            run_worker(exchange, settings)
        case ["aligner", *groups]:
            from workers.aligner.consumer import run_aligner

            run_aligner(settings, groups)
        case _:
            raise SettingsError("usage: python -m workers worker EXCHANGE | aligner [GROUP…]")


def _collect_seldom() -> None:
    # Pages are thousands of objects that no cycle holds. Looking through them for cycles each time a few hundred came
    # took a quarter of a worker's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_A_COLLECTION)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
