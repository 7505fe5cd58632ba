"""Measurements that the documents quote; each runs as ``python -m benchmarks.NAME [--json FILE]``."""
