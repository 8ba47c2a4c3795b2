"""IQM quantum computers, through iqm-client."""
