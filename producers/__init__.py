"""Ask for candles: enqueue, follow, collect, cancel. Never imports workers."""
