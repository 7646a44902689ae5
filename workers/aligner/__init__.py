"""Merge the streams of a group's series into rows that share a point in time."""
