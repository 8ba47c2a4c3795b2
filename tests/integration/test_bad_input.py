"""What a user gets wrong, through the command: one message, one exit code, nothing spent."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deployments.embedded import EmbeddedTransport
from qcpaas import RuntimeProvider
from qcpaas.cli import app
from qcpaas.settings import Settings
from store.database import open_store
from store.jobs import Jobs

BELL = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\n'
QASM3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\n'
WORK = """\
import helper
from qcpaas import RuntimeWorkerBase
from qiskit import QuantumCircuit


class Work(RuntimeWorkerBase):
    backend_name = "FakeKolkata"

    def run(self, steps: int = 2, *, mode: str = ""):
        if mode == "raise":
            return helper.pick(steps)
        if mode == "unstorable":
            return {"model": object()}
        if mode == "unmeasured":
            return self.sampler.run([QuantumCircuit(2)]).result()
        if mode == "wide":
            circuit = QuantumCircuit(30)
            circuit.measure_all()
            return self.sampler.run([circuit]).result()
        if mode == "print":
            print("step by step")
        circuit = QuantumCircuit(1)
        circuit.measure_all()
        for _ in self.iterations(steps):
            self.sampler.run([circuit], shots=10).result()
        return {"steps": steps}
"""
FILES = {
    "bell.qasm": BELL + "h q[0];\ncx q[0], q[1];\nmeasure q -> c;\n",
    "unmeasured.qasm": BELL + "h q[0];\n",
    "midway.qasm": BELL + "measure q[0] -> c[0];\nh q[0];\n",
    "wide.qasm": BELL.replace("[2]", "[28]") + "measure q -> c;\n",
    "semicolon.qasm": BELL + "h q[0]\nmeasure q -> c;\n",
    "gate.qasm": BELL + "hh q[0];\n",
    "include.qasm": BELL + 'include "absent.inc";\n',
    "division.qasm": BELL + "rx(1/0) q[0];\n",
    "index3.qasm": QASM3 + "h q[5];\n",
    "semicolon3.qasm": QASM3 + "h q[0]\nc = measure q;\n",
    "rotation.qasm": QASM3 + "input float a;\nrx(a) q[0];\nc = measure q;\n",
    "version.qasm": "OPENQASM 4.0;\nqubit q;\n",
    "text.qasm": "hello\n",
    "empty.qasm": "",
    "helper.py": "def pick(n):\n    values = [1]\n\n    return values[n]\n",
    "work.py": WORK,
    "needs.py": WORK.replace("steps: int = 2", "steps"),
    "importing.py": "from qcpaas import RuntimeWorkerBase\nLIMIT = 1 / 0\n\n"
    "class Work(RuntimeWorkerBase):\n    def run(self):\n        return LIMIT\n",
    "absent_import.py": "import absent_module\n" + WORK.replace("import helper\n", "").replace(
        "helper.pick", "absent_module.pick"
    ),
    "syntax.py": "class Work\n    pass\n",
    "two.py": WORK + WORK[WORK.index("class Work") :].replace("class Work", "class Other"),
    "none.py": "class Work:\n    pass\n",
}  # fmt: skip
ZNE, READOUT = "ZeroNoiseExtrapolation", "ReadoutMitigation"
ON_BELL = ["bell.qasm", "--backend", "FakeKolkata"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The user's files; the platform's data are beside them."""
    folder = tmp_path_factory.mktemp("user")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings(data_dir=tmp_path_factory.mktemp("data"))


@pytest.fixture
def refused(folder, settings, monkeypatch):
    """Run a command that must end before a job exists; its message and exit code."""
    monkeypatch.chdir(folder)

    def run(*arguments):
        def connect(remote):
            return RuntimeProvider(transport=EmbeddedTransport(settings))

        done = CliRunner().invoke(app, ["run", *arguments], obj=connect)
        with open_store(settings.resolved_store_url) as store:
            assert Jobs(store).all(1) == []
        assert not (settings.data_dir / "prefect").exists(), "a server was started"
        assert done.stdout == ""
        return done.stderr, done.exit_code

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bell.qasm", "--backend", "FakeKolkatta"], "Did you mean FakeKolkata"),
        (["bell.qasm"], "no device was named"),
        (["absent.qasm", "--backend", "FakeKolkata"], "there is no file absent.qasm"),
        ([".", "--backend", "FakeKolkata"], "is a folder"),
        (["wide.qasm", "--backend", "FakeKolkata"], "needs 28 qubits; FakeKolkata has 27"),
        (["unmeasured.qasm", "--backend", "FakeKolkata"], "nothing to count"),
        (["rotation.qasm", "--backend", "FakeKolkata"], "1 unbound parameter (a)"),
        (["semicolon.qasm", "--backend", "FakeKolkata"], "line 6, column 1: needed ';'"),
        (["gate.qasm", "--backend", "FakeKolkata"], "line 5, column 1: 'hh' is not defined"),
        (["include.qasm", "--backend", "FakeKolkata"], "unable to find 'absent.inc'"),
        (["division.qasm", "--backend", "FakeKolkata"], "line 5, column 5: cannot divide by zero"),
        (["index3.qasm", "--backend", "FakeKolkata"], "line 5, column 3: index out of range"),
        (["semicolon3.qasm", "--backend", "FakeKolkata"], "line 6, column 1: unexpected 'c'"),
        (["version.qasm", "--backend", "FakeKolkata"], "versions 2.0 and 3 can be read"),
        (["text.qasm", "--backend", "FakeKolkata"], "does not start with an OPENQASM header"),
        (["empty.qasm", "--backend", "FakeKolkata"], "is empty"),
        (["rotation.qasm", "--backend", "FakeKolkata", "--parameters", "nan"], "not finite"),
        (["rotation.qasm", "--backend", "FakeKolkata", "--parameters", "1,2"], "given have 2"),
        ([*ON_BELL, "--shots", "0"], "0 shots were asked for; between 1 and 10,000,000"),
        ([*ON_BELL, "--shots", "-5"], "-5 shots"),
        ([*ON_BELL, "--shots", "100000000000"], "100000000000 shots"),
        ([*ON_BELL, "--observable", "ZZZ"], "acts on 3 qubits; circuit bell has 2"),
        ([*ON_BELL, "--observable", "0.5**ZZ"], "found '*' at position 5"),
        ([*ON_BELL, "--observable", "1j*ZZ"], "real factors"),
        (["midway.qasm", "--backend", "FakeKolkata", "--observable", "ZZ"], "before its end"),
        ([*ON_BELL, "--option", "ZNE"], "no option 'ZNE'"),
        ([*ON_BELL, "--option", ZNE], "Give an observable"),
        ([*ON_BELL, "--observable", "ZZ", "--option", READOUT, "--option", ZNE], "lower rank"),
        ([*ON_BELL, "--observable", "ZZ", "--option", ZNE, "--option", ZNE], "named twice"),
        ([*ON_BELL, "--observable", "ZZ", "--option", f"{ZNE}(order=2)"], "no setting 'order'"),
        ([*ON_BELL, "--observable", "ZZ", "--option", f"{ZNE}(fit=cubic)"], "must be 'linear' or"),
        ([*ON_BELL, "--observable", "ZZ", "--option", f"{ZNE}("], "cannot be read"),
        (["absent.py"], "there is no file absent.py"),
        (["work.py:Wrk"], "defines no class 'Wrk'; it defines Work"),
        (["work.py", "--input", "stpes=1"], "no input 'stpes'. Did you mean steps"),
        (["needs.py"], "needs 'steps'"),
        (["work.py", "--backend", "FakeKolkatta"], "Did you mean FakeKolkata"),
        (["absent_import.py"], "imports absent_module, which is not installed here"),
        (["syntax.py"], "syntax.py, line 1: expected ':'"),
        (["two.py"], "Choose one: two.py:Work, two.py:Other"),
        (["none.py"], "no subclass of RuntimeWorkerBase"),
    ],
)  # fmt: skip
def test_wrong_request_is_refused_in_one_line_and_spends_nothing(refused, arguments, message):
    told, code = refused(*arguments)
    assert message in told
    assert told.startswith("qcpaas: ")
    assert told.count("\n") == 1
    assert code == 2


@pytest.mark.parametrize(
    ("file", "line", "error"),
    [
        ("importing.py", "    LIMIT = 1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_file_that_fails_when_imported_shows_its_own_line_alone(refused, file, line, error):
    told, code = refused(file)
    assert line in told.splitlines()
    assert told.count('File "') == 1
    assert error in told.splitlines()[-1]
    assert code == 1


def test_data_folder_that_cannot_be_used_is_named(folder, monkeypatch):
    monkeypatch.chdir(folder)
    data_dir = folder / "work.py" / "data"
    done = CliRunner(env={"QCPAAS_DATA_DIR": str(data_dir)}).invoke(app, ["jobs"])
    assert done.exit_code == 3
    assert done.stderr.count("\n") == 1
    assert str(data_dir) in done.stderr


def test_store_that_is_no_database_is_named(tmp_path):
    (tmp_path / "qcpaas.db").write_text("no database " * 100)
    done = CliRunner(env={"QCPAAS_DATA_DIR": str(tmp_path)}).invoke(app, ["jobs"])
    assert done.exit_code == 3
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "qcpaas.db") in done.stderr


# Below, jobs begin: first one whose process is killed, then others on the same data folder.


def start(folder, data_dir, *arguments):
    """The command as a shell starts it: a process group of its own that Ctrl-C can reach."""
    command = [sys.executable, "-c", "from qcpaas.cli import main; main()", "run", *arguments]
    project = Path(__file__).parents[2]
    with (folder / "stderr").open("w") as errors:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={
                **os.environ,
                "QCPAAS_DATA_DIR": str(data_dir),
                "PYTHONPATH": str(project),
                "OMP_NUM_THREADS": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )


def wait_for(folder, text, process):
    """Wait until the command says this."""
    deadline = time.monotonic() + 200
    while text not in (told := (folder / "stderr").read_text()):
        assert process.poll() is None, told
        assert time.monotonic() < deadline, told
        time.sleep(0.1)


@pytest.fixture(scope="module")
def killed(folder, settings):
    """A record of a job whose process was killed while its loop ran."""
    process = start(folder, settings.data_dir, "work.py", "--input", "steps=1000000")
    wait_for(folder, "iterations", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    transport = EmbeddedTransport(settings)
    yield transport.jobs()[0]
    transport.close()


class Kept(RuntimeProvider):
    """A provider that commands share: each would close it at its end."""

    def __exit__(self, *_):
        pass


@pytest.fixture(scope="module")
def embedded(killed, settings):
    provider = Kept(transport=EmbeddedTransport(settings))
    yield provider
    provider.close()


@pytest.fixture
def qcpaas(embedded, folder, monkeypatch):
    monkeypatch.chdir(folder)

    def run(*arguments):
        return CliRunner().invoke(app, [*arguments], obj=lambda _: embedded)

    return run


def runs(test):
    """Marks a test that shares the one platform."""
    return pytest.mark.server(pytest.mark.timeout(600)(test))


@runs
def test_job_of_a_killed_process_is_interrupted_and_says_how_it_goes_on(killed):
    assert killed.state.value == "interrupted"
    assert f"qcpaas resume {killed.job_id}" in killed.error.message
    assert killed.progress.done > 0


@runs
def test_device_of_a_killed_job_is_free_for_the_next(qcpaas):
    done = qcpaas("run", "work.py", "--json", "--input", "mode=print")
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["value"] == {"steps": 2}
    logged = json.loads(qcpaas("logs", answer["job_id"], "--json").stdout)
    assert any("step by step" in line for line in logged)


@runs
@pytest.mark.parametrize(
    ("mode", "lines", "ending"),
    [
        (
            "raise",
            [("work.py", 11), ("helper.py", 4)],
            ("raised IndexError: list index out of range", 1),
        ),
        ("unstorable", [], ("result['model'] is an object", 2)),
        ("unmeasured", [("work.py", 15)], ("nothing to count", 2)),
        ("wide", [("work.py", 19)], ("needs 30 qubits; FakeKolkata has 27", 2)),
    ],
)
def test_error_in_mid_job_shows_the_users_lines_and_none_of_ours(
    qcpaas, embedded, mode, lines, ending
):
    done = qcpaas("run", "work.py", "--input", f"mode={mode}")
    message, code = ending
    assert done.exit_code == code
    assert message in done.stderr.splitlines()[-1]
    shown = [line for line in done.stderr.splitlines() if line.startswith("  File")]
    assert [line.partition(", in ")[0] for line in shown] == [
        f'  File "{file}", line {number}' for file, number in lines
    ]
    assert embedded.jobs(1)[0].state.value == "failed"


@runs
def test_ideal_simulator_has_no_readout_to_mitigate(qcpaas):
    arguments = ["--backend", "statevector", "--observable", "ZZ", "--option", READOUT]
    done = qcpaas("run", "bell.qasm", *arguments)
    assert done.exit_code == 2
    assert "ideal simulator" in done.stderr.splitlines()[-1]


@runs
def test_ctrl_c_cancels_the_job_and_leaves_no_process(embedded, folder, settings):
    process = start(
        folder, settings.data_dir, "work.py", "--input", "steps=1000000",
        "--backend", "FakeMontreal",
    )  # fmt: skip
    wait_for(folder, "iterations", process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(100) == 130
    record = embedded.jobs(1)[0]
    last = (folder / "stderr").read_text().splitlines()[-1]
    assert last == f"qcpaas: job {record.job_id} was cancelled."
    assert record.state.value == "cancelled"
