"""The way of a job in: what it asks for is checked, and it is given a device and a place."""
