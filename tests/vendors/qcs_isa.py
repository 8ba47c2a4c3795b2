"""Instruction set architectures as QCS serves them: values, standard errors and dates."""

from datetime import UTC, datetime, timedelta

# Three rows of a lattice that is seven wide; the coupler of 1 and 8 does not work.
PROCESSORS = ("Ankaa-3", "Ankaa-9")
NODES = (0, 1, 2, 7, 8, 9, 14, 15, 16)
DEAD_NODE = 16  # of the second processor only
EDGES = (
    *((0, 1), (1, 2), (7, 8), (8, 9), (14, 15), (15, 16)),
    *((0, 7), (1, 8), (2, 9), (7, 14), (8, 15), (9, 16)),
)
DEAD_EDGE = (1, 8)
BEGIN = datetime(2026, 11, 1, 6, tzinfo=UTC)


def isa(processor, number):
    """As JSON; each calibration has values and dates of its own."""
    dead = {DEAD_NODE} if processor == PROCESSORS[1] else set()
    nodes = [node for node in NODES if node not in dead]
    edges = [edge for edge in EDGES if edge != DEAD_EDGE and dead.isdisjoint(edge)]
    return {
        "name": processor,
        "architecture": {
            "family": "Ankaa",
            "nodes": [{"node_id": node} for node in NODES],
            "edges": [{"node_ids": list(edge)} for edge in EDGES],
        },
        "instructions": [
            operation("RESET", 1, [site([q], fact("fAR", 0.99, 0.001, number, q)) for q in nodes]),
            operation("I", 1, [site([q]) for q in nodes]),
            operation("RX", 1, [site([q]) for q in nodes], "theta"),
            operation("RZ", 1, [site([q]) for q in nodes], "theta"),
            operation(
                "ISWAP",
                2,
                [site(e, fact("fISWAP", 0.985, 0.004, number, sum(e))) for e in edges],
            ),
            operation(
                "CZ", 2, [site(e, fact("fCZ", 0.978, 0.003, number, sum(e))) for e in edges[:6]]
            ),
            operation("MEASURE", 1, [site([q], fact("fRO", 0.94, None, number, q)) for q in nodes]),
        ],
        "benchmarks": [
            operation(
                "randomized_benchmark_1q",
                1,
                [site([q], fact("fRB", 0.9991, 1e-4, number, q)) for q in nodes],
            ),
            operation(
                "randomized_benchmark_simultaneous_1q",
                len(nodes),
                [
                    site(
                        nodes,
                        *({**fact("fRB", 0.9985, 2e-4, number, q), "node_ids": [q]} for q in nodes),
                    )
                ],
            ),
            operation(
                "FreeInversionRecovery",
                1,
                [site([q], fact("T1", 2.1e-5, 1e-6, number, q)) for q in nodes],
            ),
            operation(
                "FreeInductionDecay",
                1,
                [site([q], fact("T2", 1.4e-5, 2e-6, number, q)) for q in nodes],
            ),
        ],
    }


def operation(name, width, sites, *parameters):
    return {
        "name": name,
        "node_count": width,
        "parameters": [{"name": each} for each in parameters],
        "sites": sites,
        "characteristics": [],
    }


def site(nodes, *facts):
    return {"node_ids": list(nodes), "characteristics": list(facts)}


def fact(name, value, error, number, place):
    """A value near ``value``, of its own place and calibration, and its date."""
    date = BEGIN + timedelta(days=number, minutes=7 * place, seconds=len(name))
    spread = 1 + 1e-3 * ((place * 7 + number * 3) % 5 - 2)
    known = {} if error is None else {"error": error * spread}
    return {
        "name": name,
        "value": min(value * spread, 0.9999),
        "timestamp": date.isoformat(),
        **known,
    }
