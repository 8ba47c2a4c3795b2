"""Known Pauli noise inserted at random: taken out with signs, or amplified."""
