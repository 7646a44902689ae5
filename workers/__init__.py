"""Answer requests for candles, and align them. Never imports producers."""
