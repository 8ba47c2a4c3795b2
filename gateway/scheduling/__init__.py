"""When jobs start, and where: pure decisions on a situation, the same for a platform as simulated.

Nothing here knows a database, a network or a clock.
"""
