"""``candlebus schedule``: a scheduler in this process, or the end of what one kept up to date."""

from collections.abc import Sequence

from bus.instants import instant_ms, iso
from bus.logs import set_up_logging
from bus.settings import load
from candlebus.candle_bus import check_series
from candlebus.commands.ending import UntilInterrupted
from candlebus.commands.shared import say, shared_bus
from producers.schedule import forget, run_scheduler


def keep_up_to_date(series: Sequence[str], timeframe: str, since: str | None) -> int:
    """Ask for each candle of the series once it has closed, until interrupted."""
    asked = check_series(series, timeframe)
    since_ms = instant_ms("since", since)
    settings = load()
    set_up_logging(settings.log)
    begins = f", new ones from {iso(since_ms)} on" if since_ms is not None else ""
    with UntilInterrupted(), shared_bus(settings, [one.exchange for one in asked], wait=say) as redis:
        say(f"keeping {len(asked)} series of {timeframe} up to date{begins}; Ctrl-C ends it")
        run_scheduler(redis, asked, timeframe, since_ms=since_ms)
    return 0


def forget_series(series: Sequence[str], timeframe: str) -> int:
    """Schedule the series no more."""
    asked = check_series(series, timeframe)
    with shared_bus(load(), [one.exchange for one in asked]) as redis:
        say(f"{forget(redis, asked, timeframe)} of {len(asked)} series of {timeframe} were scheduled, and are no more")
    return 0
