"""Circuits of different jobs side by side on one device."""
