"""How often a process of ours looks for garbage in circles."""

import gc


def spare_the_collector() -> None:
    """Collect garbage less often: rows and candles come by the thousand and hold no circles.

    Looking through them each time a few hundred have come takes a quarter of a worker's time and 30 % of a backfill's.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
