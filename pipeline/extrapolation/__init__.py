"""Amplified noise, and its extrapolation to none."""
