"""Loopback servers that speak the vendors' protocols, and the devices that tests reach there."""
