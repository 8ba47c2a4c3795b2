"""Which workers have what a job needs."""
