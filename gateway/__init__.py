"""The API gateway and workflow manager."""
