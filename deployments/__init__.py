"""Infrastructure: the platform on one machine, and what it is composed of."""
