"""The open hardware API: an HTTP interface for a QPU, its server and its client."""
