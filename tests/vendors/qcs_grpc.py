"""QCS's translation and controller services over gRPC, and the wire that can be cut before them."""

import base64
import contextlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

from vendors.qcs_messages import MESSAGES
from vendors.quil_simulator import QuilError, Simulation
from vendors.service import ENDED

KEY = "loopback-key"
SUCCESS, SERVICE_FAILURE, USER_CANCELLATION = 1, 2, 4
WORKERS = 16


class Wire:
    """Passes bytes between a port that is told and one that is not, until it is cut."""

    def __init__(self, port, behind):
        self._behind = behind
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = self._listening.getsockname()[1]
        self._open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """End every connection, without a farewell."""
        for end in list(self._open):
            end.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            client, _ = self._listening.accept()
            server = socket.create_connection(("127.0.0.1", self._behind))
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source, sink):
        self._open.add(source)
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        self._open.discard(source)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Controllers:
    """What both services answer, over the jobs of an HTTP service.

    Args:
        service: Has ``jobs``, ``lets_in(authorization)`` and ``isa(processor)``.
    """

    def __init__(self, service, port):
        self.service = service
        self._server = grpc.server(ThreadPoolExecutor(WORKERS))
        self._server.add_generic_rpc_handlers((Routes(self),))
        behind = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.wire = Wire(port, behind)

    def translate(self, request, context):
        """To a job that only this server can read, which is all that its encryption is for."""
        processor = request.quantum_processor_id
        try:
            readout = translated(request.quil_program, self.service.isa(processor))
        except QuilError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        job = {
            "processor": processor,
            "quil": request.quil_program,
            "shots": request.num_shots_value,
            "readout": readout,
        }
        answer = MESSAGES["TranslateResponse"]()
        answer.job.job = base64.b85encode(json.dumps(job).encode())
        answer.job.encryption.key_id = KEY
        answer.metadata.readout_mappings.update(readout)
        return answer

    def execute(self, request, context):
        if request.encrypted.encryption.key_id != KEY:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "encrypted with another key")
        job = json.loads(base64.b85decode(request.encrypted.job))
        target = request.quantum_processor_id or request.endpoint_id
        timeout_s = request.options.timeout.seconds + request.options.timeout.nanos * 1e-9
        answer = MESSAGES["ExecuteControllerJobResponse"]()
        for configuration in request.execution_configurations:
            memory = {
                name: list(value.real.data) for name, value in configuration.memory_values.items()
            }
            asked = {**job, "memory": memory, "target": target, "timeout_s": timeout_s}
            answer.job_execution_ids.append(self.service.jobs.accept(asked))
        faults = self.service.jobs.faults
        if faults.lose_replies:
            self.service.jobs.set_faults(lose_replies=faults.lose_replies - 1)
            self.wire.cut()
        return answer

    def results(self, request, context):
        """Once the job has ended, however long that takes."""
        answer = MESSAGES["GetControllerJobResultsResponse"]()
        while context.is_active():
            job = self.service.jobs.get(request.job_execution_id)
            if job is None:
                context.abort(grpc.StatusCode.NOT_FOUND, f"no job {request.job_execution_id}")
            if job.state in ENDED:
                fill(answer.result, job)
                break
            time.sleep(0.01)
        return answer

    def cancel(self, request, context):
        for job_id in request.job_ids:
            job = self.service.jobs.get(job_id)
            if job is None:
                context.abort(grpc.StatusCode.NOT_FOUND, f"no job {job_id}")
            if job.state != "queued":
                context.abort(
                    grpc.StatusCode.FAILED_PRECONDITION, f"job {job_id} is {job.state} already"
                )
            self.service.jobs.cancel(job_id)
        return MESSAGES["CancelControllerJobsResponse"]()


class Routes(grpc.GenericRpcHandler):
    """Whom a call goes to, once it is let in."""

    def __init__(self, controllers):
        self._controllers = controllers
        self._calls = {
            "/services.translation.Translation/TranslateQuilToEncryptedControllerJob": (
                controllers.translate,
                "TranslateRequest",
            ),
            "/services.controller.Controller/ExecuteControllerJob": (
                controllers.execute,
                "ExecuteControllerJobRequest",
            ),
            "/services.controller.Controller/GetControllerJobResults": (
                controllers.results,
                "GetControllerJobResultsRequest",
            ),
            "/services.controller.Controller/CancelControllerJobs": (
                controllers.cancel,
                "CancelControllerJobsRequest",
            ),
        }

    def service(self, details):
        if details.method not in self._calls:
            return None
        call, kind = self._calls[details.method]
        headers = dict(details.invocation_metadata)
        service = self._controllers.service

        def admitted(request, context):
            faults = service.jobs.faults
            time.sleep(faults.reply_delay_s)
            if not service.lets_in(headers.get("authorization", "")):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            if faults.maintenance or faults.status in {502, 503}:
                context.abort(grpc.StatusCode.UNAVAILABLE, "in maintenance")
            if faults.status and kind == "ExecuteControllerJobRequest":
                context.abort(grpc.StatusCode.INTERNAL, "as was wished")
            return call(request, context)

        def encoded(answer):
            return spoilt_bytes(answer.SerializeToString(), service.jobs.faults.spoil)

        return grpc.unary_unary_rpc_method_handler(admitted, MESSAGES[kind].FromString, encoded)


def spoilt_bytes(body, how):
    """A protocol buffer as a broken service would send it."""
    if how == "truncated":
        return body[: len(body) // 2]
    if how in {"empty", ""}:
        return b"" if how else body
    if how == "html":
        return b"<html><body>502 Bad Gateway</body></html>"
    return bytes(each ^ 0x2A for each in body)


def translated(quil, isa):
    """Where each bit of the readout will be found; refuses what is not native to the processor."""
    native = {
        each["name"]: {tuple(site["node_ids"]) for site in each["sites"]}
        for each in isa["instructions"]
    }
    readout = {}
    for instruction in Simulation(quil, pulse_level=True).instructions:
        if instruction.is_gate():
            check_native(instruction.to_gate(), native)
        elif instruction.is_measurement():
            measurement = instruction.to_measurement()
            stream = f"q{measurement.qubit.to_quil()}"
            if stream in readout.values():
                raise QuilError(f"qubit {stream} is measured twice")
            readout[measurement.target.to_quil()] = stream
        elif instruction.is_jump_when() or instruction.is_jump_unless() or instruction.is_jump():
            raise QuilError("control flow cannot be translated")
    return readout


def check_native(gate, native):
    qubits = tuple(int(qubit.to_quil()) for qubit in gate.qubits)
    if not {qubits, qubits[::-1]} & native.get(gate.name, set()):
        raise QuilError(f"{gate.to_quil()} is not native")
    if gate.name == "RX" and gate.parameters[0].to_quil() not in {"pi", "-pi", "pi/2", "-pi/2"}:
        raise QuilError(f"{gate.to_quil()}: RX turns by pi and pi/2 only")


def fill(result, job):
    """The message for a job that has ended."""
    result.status = {"completed": SUCCESS, "cancelled": USER_CANCELLATION}.get(
        job.state, SERVICE_FAILURE
    )
    result.status_message = job.message or job.state
    if job.state == "completed":
        for stream, values in job.result.items():
            result.readout_values[stream].integer_values.values.extend(values)
        result.execution_duration_microseconds = 200 * job.request["shots"]
