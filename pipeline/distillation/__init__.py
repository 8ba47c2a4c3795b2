"""Values of powers of a noisy state."""
