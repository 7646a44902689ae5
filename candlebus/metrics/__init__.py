"""Metrics of a bus for Prometheus, read from its server at each scrape; workers need no port of their own."""
