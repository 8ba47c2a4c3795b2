"""Readout errors: inverted, twirled, measured."""
