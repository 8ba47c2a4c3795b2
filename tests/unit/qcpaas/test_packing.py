"""Workloads travel as source: packed here, loaded in a process that has none of the files."""

import importlib
import json
import linecache
import logging
import subprocess
import sys
import textwrap
import traceback
from types import ModuleType

import numpy as np
import pytest

from qcpaas import packing
from qcpaas.errors import PackingError
from qcpaas.packing import pack, pack_file
from qcpaas.schemas import Bundle
from qcpaas.unpacking import as_named_by_user, load, loaded

HEADER = "from qcpaas.worker import RuntimeWorkerBase\n"


class Context:
    """What a worker needs to be constructed without a device."""

    log = logging.getLogger("test")
    rng = np.random.default_rng(1)
    shots = 1
    exact = False

    def backend(self, options):
        return None

    def report(self, done, total, message, metrics):
        pass


def run(bundle: Bundle, **inputs):
    with loaded(Bundle.model_validate_json(bundle.model_dump_json())) as worker_class:
        return worker_class(Context()).run(**inputs)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder on the search path; `write` puts modules there, and they are forgotten after."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(**files: str):
        for name, text in files.items():
            path = tmp_path / (name.replace("__in__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        return tmp_path

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def main(monkeypatch):
    """Executes cells in a fresh `__main__`, as a notebook's kernel does."""
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    namespace = vars(module)

    def execute(*cells: str, history: bool = True):
        if history:
            namespace["get_ipython"] = lambda: None
            namespace.setdefault("In", [""])
        for text in map(textwrap.dedent, cells):
            name = f"<cell {len(linecache.cache)}>"
            linecache.cache[name] = (len(text), None, text.splitlines(True), name)
            if history:
                namespace["In"].append(text)
            exec(compile(text, name, "exec", dont_inherit=True), namespace)
        return namespace

    return execute


def without_files(project, bundle, **inputs):
    """Run a bundle where none of the user's files can be imported."""
    program = (
        "import sys, json\n"
        "sys.path[:] = [p for p in sys.path if p != sys.argv[1]]\n"
        "from qcpaas.schemas import Bundle\n"
        "from qcpaas.unpacking import load\n"
        "worker = load(Bundle.model_validate_json(sys.stdin.read()))\n"
        "print(json.dumps(worker.run(object.__new__(worker), **json.loads(sys.argv[2]))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(project), json.dumps(inputs)],
        input=bundle.model_dump_json(),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


# --- modules ---------------------------------------------------------------------------------


def test_module_travels_with_what_it_imports_transitively(project):
    folder = project(
        vqe_a=HEADER
        + """
import helper_a
class Work(RuntimeWorkerBase):
    def run(self, x=1):
        return helper_a.twice(x)
""",
        helper_a="from deeper_a import two\ndef twice(x):\n    return two() * x\n",
        deeper_a="def two():\n    return 2\n",
        unrelated_a="raise RuntimeError('never imported')\n",
    )
    bundle = pack(importlib.import_module("vqe_a").Work)
    assert set(bundle.modules) == {"vqe_a", "helper_a", "deeper_a"}
    assert without_files(folder, bundle, x=21) == 42


def test_packages_relative_imports_and_aliases_work(project):
    folder = project(
        lab_b__in____init__="from .constants import SCALE\n",
        lab_b__in__constants="SCALE = 3\n",
        lab_b__in__deep__in____init__="",
        lab_b__in__deep__in__fit="from ..constants import SCALE as S\ndef fit(x): return S * x\n",
        lab_b__in__jobs=HEADER
        + """
import lab_b.deep.fit as f
import lab_b.deep.fit
from . import constants
from .deep import fit as again
class Work(RuntimeWorkerBase):
    def run(self):
        return [f.fit(1), lab_b.deep.fit.fit(2), constants.SCALE, again.fit(3), lab_b.SCALE]
""",
    )
    bundle = pack(importlib.import_module("lab_b.jobs").Work)
    assert set(bundle.packages) == {"lab_b", "lab_b.deep"}
    assert bundle.entry == "lab_b.jobs:Work"
    assert without_files(folder, bundle) == [3, 6, 3, 9, 3]


def test_imports_inside_functions_and_conditions_are_found(project):
    folder = project(
        lazy_c=HEADER
        + """
try:
    import absent_c
except ImportError:
    absent_c = None
class Work(RuntimeWorkerBase):
    def run(self):
        import importlib
        if absent_c is None:
            from inner_c import ANSWER
        return ANSWER + importlib.import_module("named_c").MORE
""",
        inner_c="ANSWER = 40\n",
        named_c="MORE = 2\n",
    )
    bundle = pack(importlib.import_module("lazy_c").Work)
    assert set(bundle.modules) == {"lazy_c", "inner_c", "named_c"}
    assert without_files(folder, bundle) == 42


def test_star_import_of_a_package_takes_its_submodules(project):
    folder = project(
        stars_d__in____init__="__all__ = ['part']\n",
        stars_d__in__part="VALUE = 5\n",
        jobs_d=HEADER
        + """
from stars_d import *
class Work(RuntimeWorkerBase):
    def run(self):
        return part.VALUE
""",
    )
    assert without_files(folder, pack(importlib.import_module("jobs_d").Work)) == 5


def test_namespace_package_travels(project):
    folder = project(
        spaces_e__in__part="VALUE = 6\n",
        jobs_e=HEADER
        + """
from spaces_e import part
class Work(RuntimeWorkerBase):
    def run(self):
        return part.VALUE
""",
    )
    assert without_files(folder, pack(importlib.import_module("jobs_e").Work)) == 6


def test_installed_distributions_are_named_with_their_versions_and_not_packed(project):
    project(
        jobs_f=HEADER
        + """
import numpy.linalg
import yaml, json
from qiskit import QuantumCircuit
class Work(RuntimeWorkerBase):
    def run(self):
        return 0
"""
    )
    bundle = pack(importlib.import_module("jobs_f").Work)
    names = {requirement.name.lower(): requirement.version for requirement in bundle.requirements}
    assert set(names) == {"numpy", "pyyaml", "qiskit", "qcpaas"}
    assert names["numpy"] == np.__version__
    assert set(bundle.modules) == {"jobs_f"}


def test_user_module_named_like_a_platform_package_hides_nothing(project):
    folder = project(
        pipeline="VALUE = 'mine'\n",
        jobs_g=HEADER
        + """
import pipeline
class Work(RuntimeWorkerBase):
    def run(self):
        return pipeline.VALUE
""",
    )
    _, bundle = pack_file(folder / "jobs_g.py")
    assert run(bundle) == "mine"
    assert "pipeline" in bundle.modules
    assert getattr(sys.modules.get("pipeline"), "VALUE", None) != "mine"


def test_two_bundles_with_equal_module_names_stand_side_by_side():
    def bundle(value):
        work = HEADER + "import helper\nclass Work(RuntimeWorkerBase):\n"
        work += "    def run(self):\n        return helper.VALUE\n"
        return Bundle(
            entry="work:Work", modules={"work": work, "helper": f"VALUE = {value}"}, python="3.11"
        )

    first, second, again = load(bundle(1)), load(bundle(2)), load(bundle(1))
    assert [c(Context()).run() for c in (first, second, again)] == [1, 2, 1]
    assert first is not again


def test_loaded_modules_are_forgotten_afterwards():
    work = HEADER + "class Work(RuntimeWorkerBase):\n    def run(self):\n        return 1\n"
    before = set(sys.modules), list(sys.meta_path)
    assert run(Bundle(entry="work:Work", modules={"work": work})) == 1
    assert (set(sys.modules), list(sys.meta_path)) == before


def test_traceback_shows_the_users_own_lines(project):
    folder = project(
        jobs_h=HEADER
        + """
class Work(RuntimeWorkerBase):
    def run(self):
        return 1 / 0  # the culprit
"""
    )
    _, bundle = pack_file(folder / "jobs_h.py", "Work")
    with pytest.raises(ZeroDivisionError) as caught:
        run(bundle)
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert frame.line == "return 1 / 0  # the culprit"
    assert frame.lineno == 5
    assert as_named_by_user(frame.filename) == "jobs_h.py"


# --- scripts and notebooks -------------------------------------------------------------------


SUBMITTING_SCRIPT = """\
import json
from qcpaas.worker import RuntimeWorkerBase
from qcpaas.packing import pack

SCALE = 2; print("noise", end="")
TABLE = {}
for key in ("a", "b"):
    TABLE[key] = len(TABLE) + SCALE

def helper(x):
    return TABLE[x]

class Base(RuntimeWorkerBase):
    shots = 10

class Work(Base):
    def run(self):
        return [helper("a"), helper("b")]

bundle = pack(Work)
print(bundle.model_dump_json())
raise SystemExit(0)
"""


def test_script_that_submits_itself_without_a_guard_travels_without_its_submission(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(SUBMITTING_SCRIPT)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    bundle = Bundle.model_validate_json(done.stdout.removeprefix("noise"))
    (text,) = bundle.modules.values()
    assert bundle.entry == "study:Work"
    assert "pack(" not in text
    assert "print" not in text
    assert text.splitlines()[17] == '        return [helper("a"), helper("b")]'
    assert run(bundle) == [2, 3]


def test_file_named_on_the_command_line_does_not_run_its_submission(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(SUBMITTING_SCRIPT)
    worker_class, bundle = pack_file(script)
    assert worker_class.shots == 10
    assert run(bundle) == [2, 3]


def test_script_that_its_helper_imports_back_travels_whole(project):
    folder = project(
        jobs_o=HEADER
        + "import helper_o\nBASE = 10\nclass Work(RuntimeWorkerBase):\n"
        + "    def run(self):\n        return helper_o.base()\n",
        helper_o="import jobs_o\ndef base():\n    return jobs_o.BASE\n",
    )
    assert run(pack_file(folder / "jobs_o.py")[1]) == 10


def test_notebook_cells_travel_as_far_as_the_class_needs_them(main):
    namespace = main(
        "import math as m\nfrom qcpaas.worker import RuntimeWorkerBase\n",
        "factor = 2\nother = object()\n",
        "def helper(x):\n    return factor * m.floor(x)\n",
        """
        class Work(RuntimeWorkerBase):
            def run(self, x=3.7):
                return helper(x)
        """,
        "submitted = [other]\n",
    )
    bundle = pack(namespace["Work"])
    (text,) = bundle.modules.values()
    assert "other" not in text
    assert "submitted" not in text
    assert run(bundle) == 6


def test_redefined_helper_travels_in_its_last_version(main):
    namespace = main(
        HEADER,
        "def helper():\n    return missing_name\n",
        "class Work(RuntimeWorkerBase):\n    def run(self):\n        return helper()\n",
        "def helper():\n    return 'new'\n",
    )
    bundle = pack(namespace["Work"])
    assert "missing_name" not in "".join(bundle.modules.values())
    assert run(bundle) == "new"


def test_value_used_before_its_redefinition_is_kept(main):
    namespace = main(
        HEADER,
        "scale = 2\ndef grow(x):\n    return scale * x\ntable = [grow(1), grow(2)]\n",
        "scale = 100\n",
        "class Work(RuntimeWorkerBase):\n    def run(self):\n        return [table, scale]\n",
    )
    assert run(pack(namespace["Work"])) == [[2, 4], 100]


def test_cell_history_without_ipython_is_read_from_linecache(main):
    namespace = main(
        HEADER
        + "import math\ndef helper():\n    return math.pi\n"
        + "class Work(RuntimeWorkerBase):\n    def run(self):\n        return helper()\n",
        history=False,
    )
    assert run(pack(namespace["Work"])) == np.pi


def test_value_read_from_a_file_travels_as_a_literal(main, tmp_path):
    (tmp_path / "data.json").write_text("[1, 2, 3]")
    namespace = main(
        HEADER,
        f"import json\nwith open({str(tmp_path / 'data.json')!r}) as file:\n"
        "    data = json.load(file)\n",
        "class Work(RuntimeWorkerBase):\n    def run(self):\n        return sum(data)\n",
    )
    bundle = pack(namespace["Work"])
    assert "open(" not in "".join(bundle.modules.values())
    assert run(bundle) == 6


def test_value_computed_by_a_submitted_job_is_not_submitted_again(main):
    namespace = main(
        HEADER,
        """
        class RuntimeProvider:
            def run(self):
                return [1.5]
        """,
        "provider = RuntimeProvider()\njob = provider.run()\nenergy = job[0]\n",
        "class Work(RuntimeWorkerBase):\n    def run(self):\n        return energy\n",
    )
    bundle = pack(namespace["Work"])
    assert "provider" not in "".join(bundle.modules.values()).lower()
    assert run(bundle) == 1.5


def test_value_that_cannot_be_rebuilt_is_refused_by_name(main):
    namespace = main(
        HEADER,
        "handle = open('/dev/null')\n",
        "class Work(RuntimeWorkerBase):\n    def run(self):\n        return handle.read()\n",
    )
    with pytest.raises(PackingError, match="'handle' cannot be rebuilt"):
        pack(namespace["Work"])
    namespace["handle"].close()


def test_name_that_no_statement_sets_is_refused(main):
    namespace = main(
        HEADER, "class Work(RuntimeWorkerBase):\n    def run(self):\n        return injected\n"
    )
    namespace["injected"] = 3
    with pytest.raises(PackingError, match="'injected'"):
        pack(namespace["Work"])


def test_loops_that_only_use_what_the_class_uses_stay_behind(main):
    namespace = main(
        HEADER,
        "import math\nresults = {}\nlimit = [1]\nlimit.append(2)\n",
        "class Work(RuntimeWorkerBase):\n    def run(self):\n"
        "        return [math.floor(2.5), limit, self.note]\n",
        "Work.note = 'set afterwards'\n",
        "class RuntimeProvider:\n    pass\n",
        "for step in range(2):\n    math.sqrt(step)\n    results[step] = RuntimeProvider()\n"
        "    Work.last = results[step]\n",
    )
    bundle = pack(namespace["Work"])
    assert "results" not in "".join(bundle.modules.values())
    assert run(bundle) == [2, [1, 2], "set afterwards"]


def test_singledispatch_functions_travel_with_their_cases(main):
    namespace = main(
        HEADER,
        """
        from functools import singledispatch
        @singledispatch
        def shape(x):
            return "other"
        @shape.register
        def _(x: int):
            return "int"
        """,
        "class Work(RuntimeWorkerBase):\n    def run(self):\n        return shape(1) + shape('')\n",
    )
    assert run(pack(namespace["Work"])) == "intother"


def test_type_checking_imports_dataclasses_and_globals_work(main):
    namespace = main(
        HEADER,
        """
        from __future__ import annotations
        from dataclasses import dataclass, field
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from collections.abc import Sequence
        count = 0
        @dataclass
        class Point:
            x: float = 1.0
            rest: Sequence[float] = field(default_factory=list)
        def tick():
            global count
            count += 1
        """,
        """
        class Work(RuntimeWorkerBase):
            def run(self):
                tick()
                return [Point().x, count]
        """,
    )
    assert run(pack(namespace["Work"])) == [1.0, 1]


def test_option_class_named_only_in_a_string_travels(main):
    namespace = main(
        HEADER,
        "class Mine:\n    pass\nclass Other:\n    pass\nclass Unused:\n    pass\n",
        "class Work(RuntimeWorkerBase):\n    options = ('Mine(x=1)',)\n"
        "    def run(self):\n        return 1\n",
    )
    bundle = pack(namespace["Work"], also=["Other", "Absent"])
    text = "".join(bundle.modules.values())
    assert "class Mine" in text
    assert "class Other" in text
    assert "Unused" not in text


# --- refusals --------------------------------------------------------------------------------


def test_nested_class_is_refused():
    from qcpaas.worker import RuntimeWorkerBase

    class Nested(RuntimeWorkerBase):
        def run(self):
            return 1

    with pytest.raises(PackingError, match="inside a function or a class"):
        pack(Nested)


def test_class_that_is_no_worker_is_refused():
    with pytest.raises(PackingError, match="not a subclass of RuntimeWorkerBase"):
        pack(int)


def test_worker_without_run_is_refused(project):
    project(jobs_i=HEADER + "class Work(RuntimeWorkerBase):\n    pass\n")
    with pytest.raises(PackingError, match=r"does not implement run\(\)"):
        pack(importlib.import_module("jobs_i").Work)


def test_class_without_source_is_refused(project):
    project(jobs_j=HEADER + "Work = type('Work', (RuntimeWorkerBase,), {'run': lambda s: 1})\n")
    with pytest.raises(PackingError, match="no statement `class Work`"):
        pack(importlib.import_module("jobs_j").Work)


def test_compiled_local_module_is_refused(project):
    import sysconfig

    folder = project(
        jobs_k=HEADER
        + """
class Work(RuntimeWorkerBase):
    def run(self):
        import fast_k
"""
    )
    (folder / f"fast_k{sysconfig.get_config_var('EXT_SUFFIX')}").write_bytes(b"\x7fELF")
    with pytest.raises(PackingError, match="fast_k is compiled"):
        pack(importlib.import_module("jobs_k").Work)


def test_module_with_a_syntax_error_is_refused_with_its_line(project):
    folder = project(
        jobs_l=HEADER
        + """
class Work(RuntimeWorkerBase):
    def run(self):
        import broken_l
""",
        broken_l="x = 1\ny = (\n",
    )
    with pytest.raises(PackingError, match="module broken_l, line 2"):
        pack_file(folder / "jobs_l.py")


def test_too_large_a_workload_is_refused(project, monkeypatch):
    folder = project(
        jobs_m=HEADER
        + "import data_m\nclass Work(RuntimeWorkerBase):\n    x = data_m.DATA\n"
        + "    def run(self):\n        return 1\n",
        data_m=f"DATA = {'x' * 3000!r}\n",
    )
    monkeypatch.setattr(packing, "MAX_BUNDLE_BYTES", 2000)
    with pytest.raises(PackingError, match="largest module is data_m"):
        pack_file(folder / "jobs_m.py")


def test_file_with_several_workers_lists_them(project):
    folder = project(
        jobs_n=HEADER
        + "class Base(RuntimeWorkerBase):\n    pass\n"
        + "class A(Base):\n    def run(self):\n        return 1\n"
        + "class B(Base):\n    def run(self):\n        return 2\n"
    )
    with pytest.raises(PackingError, match=r"jobs_n.py:A, .*jobs_n.py:B"):
        pack_file(folder / "jobs_n.py")
    assert run(pack_file(folder / "jobs_n.py", "B")[1]) == 2


@pytest.mark.parametrize(
    ("text", "class_name", "message"),
    [
        ("x = 1\n", None, "defines no subclass of RuntimeWorkerBase"),
        ("class A:\n    pass\n", "B", "defines no class 'B'; it defines A"),
        ("class A:\n    pass\n", "A", "not a subclass"),
        ("def f(:\n", None, "line 1"),
    ],
)
def test_file_without_the_wanted_class_is_refused(tmp_path, text, class_name, message):
    path = tmp_path / "file.py"
    path.write_text(text)
    with pytest.raises(PackingError, match=message):
        pack_file(path, class_name)


def test_file_that_imports_what_is_not_installed_is_refused_with_its_name(tmp_path):
    file = tmp_path / "lab.py"
    file.write_text(
        "import not_installed_anywhere\nfrom qcpaas import RuntimeWorkerBase\n\n"
        "class Work(RuntimeWorkerBase):\n"
        "    def run(self):\n        return not_installed_anywhere.answer()\n"
    )
    for class_name in (None, "Work"):
        with pytest.raises(PackingError, match=r"lab\.py imports not_installed_anywhere, which"):
            pack_file(file, class_name)


def test_packages_of_another_environment_on_the_path_are_installed_ones(tmp_path, monkeypatch):
    other = tmp_path / "lib" / "site-packages"
    other.mkdir(parents=True)
    (other / "elsewhere.py").write_text("answer = 42\n")
    monkeypatch.syspath_prepend(str(other))
    file = tmp_path / "lab.py"
    file.write_text(
        "import elsewhere\nfrom qcpaas import RuntimeWorkerBase\n\n"
        "class Work(RuntimeWorkerBase):\n"
        "    def run(self):\n        return elsewhere.answer\n"
    )
    _, bundle = pack_file(file)
    assert set(bundle.modules) == {"lab"}


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(PackingError, match="there is no file"):
        pack_file(tmp_path / "absent.py")
