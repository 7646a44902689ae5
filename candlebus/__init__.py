"""The front door of candlebus."""
