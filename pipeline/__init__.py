"""Execution options: error mitigation as decorators of an execution backend."""
