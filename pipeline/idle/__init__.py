"""Echoes in idle windows."""
