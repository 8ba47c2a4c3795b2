"""Corrections learnt from circuits that can be simulated."""
