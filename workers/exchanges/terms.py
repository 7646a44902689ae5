"""Numbers of a listing that are told where they are known, and that no candle depends on."""


def number(value: object) -> float | None:
    """The number that a field holds, as a number or as text; None where it holds none.

    A field that nobody needs for a candle must not cost the whole list when it takes another form.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < float("inf") else None


def step_of_decimals(value: object) -> float | None:
    """The smallest step of a number with so many decimals, such as 0.001 for 3; None where that is no count."""
    decimals = number(value)
    if decimals is None or decimals != int(decimals) or not 0 <= decimals <= 18:
        return None
    return float(f"1e-{int(decimals)}")
