"""Benchmarks: one command each, one form."""
