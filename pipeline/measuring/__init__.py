"""Ways to measure observables: grouped bases, shadows, tomography, a device's own."""
