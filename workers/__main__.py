"""One process: ``python -m workers worker EXCHANGE`` or ``python -m workers aligner [GROUP…]``."""

import logging
import sys

from bus.errors import CandleBusError, SettingsError
from bus.logs import set_up_logging
from bus.settings import Settings, load


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
            from workers.collector import spare_the_collector
            from workers.worker import run_worker

            spare_the_collector()
            run_worker(exchange, settings)
        case ["aligner", *groups]:
            from workers.aligner.consumer import run_aligner
            from workers.collector import spare_the_collector

            spare_the_collector()
            run_aligner(settings, groups)
        case _:
            raise SettingsError("usage: python -m workers worker EXCHANGE | aligner [GROUP…]")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
