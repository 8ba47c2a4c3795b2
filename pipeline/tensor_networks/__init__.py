"""Noise taken out, and references computed, by tensor networks."""
