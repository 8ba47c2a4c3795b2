"""IBM Quantum devices, through qiskit-ibm-runtime."""
