"""Latency of queries."""
