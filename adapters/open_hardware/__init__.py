"""Devices behind the open hardware API."""
