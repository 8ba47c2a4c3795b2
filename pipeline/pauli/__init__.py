"""Pauli frames through compiled circuits: algebra, gates, layers, twirling."""
