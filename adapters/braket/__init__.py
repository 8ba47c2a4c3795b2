"""Amazon Braket devices and simulators, through its SDK."""
