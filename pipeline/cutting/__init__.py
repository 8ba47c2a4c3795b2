"""One circuit as several smaller ones."""
