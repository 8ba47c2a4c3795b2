"""Echo circuits that observe a call's fidelity."""
