"""Mitiq's techniques as options, where it is installed."""
