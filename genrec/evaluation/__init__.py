"""Metrics, and the one way to compute them."""
