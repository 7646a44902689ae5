"""One file per venue: its facts, its requests, its answers. Knows HTTP and candles, not Redis."""
