"""The calibration manager: which qubits to use, by the newest data."""
