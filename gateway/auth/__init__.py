"""Letting people in: the seam, and the ways that come with the platform."""
