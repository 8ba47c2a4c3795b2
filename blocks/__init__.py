"""Prefect blocks: where vendor credentials and device settings belong.

The embedded twins and simulators need neither.
"""
