"""Hardware adapters: one contract, one module a vendor."""
