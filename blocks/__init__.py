"""Prefect blocks: what a deployment configures."""
