"""Candle streams are trimmed to the newest entries whenever one is appended, read or not."""

from edit_script import edit_script

edit_script("publish", "'XADD', KEYS[1], '*'", "'XADD', KEYS[1], 'MAXLEN', '10', '*'")
