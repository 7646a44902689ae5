"""``candlebus fetch``: its options."""

from pathlib import Path
from typing import Annotated

import typer

from candlebus.commands.options import PaceName, SeriesList, TimeframeName


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(no_args_is_help=True)(fetch)


def fetch(
    series: SeriesList,
    timeframe: TimeframeName,
    limit: Annotated[
        int | None, typer.Option("-n", "--limit", help="Candles back from the last closed one. (default: 500)")
    ] = None,
    since: Annotated[str | None, typer.Option(help="First open time, ISO 8601 (UTC) or ms; instead of -n.")] = None,
    until: Annotated[str | None, typer.Option(help="Open times stay below it; by default the last closed one.")] = None,
    align: Annotated[bool, typer.Option("--align", help="Rows of one candle of every series.")] = False,
    tolerance_ms: Annotated[
        int | None, typer.Option(help="Greatest distance of the open times of a row. (default: 60000)")
    ] = None,
    pace: PaceName = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="table, jsonl, csv or parquet (with -o); by default the suffix of -o, a table on a terminal, jsonl.",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File, which appears whole.")] = None,
    report: Annotated[Path | None, typer.Option(help="JSON file with counts, gaps and errors.")] = None,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Seconds; then give what has arrived.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Estimate pages and seconds; ask nobody.")] = False,
) -> int:
    """Fetch candles of one or several series.

    Exit code 0: complete. 1: failed. 2: wrong usage. 3: partial, as standard error says.
    """
    from candlebus.commands import fetching

    asked = fetching.Asked(
        series=series,
        timeframe=timeframe,
        limit=limit,
        since=since,
        until=until,
        align=align,
        tolerance_ms=tolerance_ms,
        pace=pace,
        form=form,
        output=output,
        report=report,
        timeout_s=timeout_s,
    )
    return fetching.estimated(asked) if dry_run else fetching.fetched(asked)
