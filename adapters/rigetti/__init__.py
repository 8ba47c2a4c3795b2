"""Rigetti processors and the QVM, through pyQuil."""
