"""Users' circuits are read apart: in processes with limits, which may die without harm."""
