"""What noise a circuit meets: calibrated, learnt, expected."""
