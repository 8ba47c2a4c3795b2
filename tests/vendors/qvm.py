"""A QVM that speaks the ``qvm -S`` protocol: multishot and version.

It proves that Rigetti's client sends what a QVM takes (the Quil with its memory set, addresses,
trials and seed) and that its answers are read as they are meant: the Quil is parsed by Rigetti's
own parser and simulated by its specification. It does not prove what the real QVM would say of a
program that breaks the language's rules, how long it takes, or its noise: noise is refused.
"""

import time

from vendors.quil_simulator import Simulation
from vendors.service import ENDED, Reply, Service, main

VERSION = b"1.17.2 [loopback]"


class Qvm(Service):
    """One run at a time, as asked; each is noted as a job that has ended."""

    routes = (("POST", "/", "answer_request"),)

    def run(self, request):
        program = Simulation(request["compiled-quil"], seed=request.get("rng-seed"))
        memory = program.run(request["trials"])
        return {name: memory[name] for name, asked in request["addresses"].items() if asked}

    def answer_request(self, request):
        faults = self.jobs.faults
        if faults.refuse_credentials:
            return Reply(401, {"status": "who are you?"})
        if faults.maintenance:
            return Reply(503, {"status": "in maintenance"})
        if request.body.get("type") == "version":
            return Reply(200, VERSION, (("Content-Type", "text/plain"),))
        if request.body.get("type") != "multishot" or "gate-noise" in request.body:
            return Reply(500, problem(f"not served here: {request.body.get('type')}"))
        return self.multishot(request.body)

    def multishot(self, body):
        job_id = self.jobs.accept(body)
        while (job := self.jobs.get(job_id)).state not in ENDED:
            time.sleep(0.002)
        if job.state == "failed":
            return Reply(500, problem(job.message))
        return self.accepted(Reply(200, job.result))


def problem(text):
    return {"error_type": "qvm_error", "status": text}


if __name__ == "__main__":
    main(Qvm)
