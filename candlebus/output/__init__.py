"""How candles leave the command line: as lines, as tables, as files that appear whole."""
