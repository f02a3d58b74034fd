"""What the toolchain's Python executes in the sandbox of an action: the texts of small programs.

Each gets its arguments in ``sys.argv[1:]`` and runs with any Python from 3.11 on, without bldr.
"""

from __future__ import annotations

__all__ = ["COPY", "TEST_RUN", "WHEEL", "ZIPAPP"]

COPY = """
import os, shutil, sys
folder, *pairs = sys.argv[1:]
for pair in pairs:
    name, _, path = pair.partition("=")
    target = os.path.join(folder, name)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy(path, target)
"""
"""Arguments: folder, ``NAME=PATH``... Copies each file to its name in the folder."""

ZIPAPP = """
import io, os, sys, zipfile
output, main, beside, *pairs = sys.argv[1:]
files = {name: open(path, "rb").read() for name, _, path in (pair.partition("=") for pair in pairs)}
module, _, function = main.partition(":")
start = ["import os, sys", "here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))"]
add = "sys.path.append(os.path.normpath(os.path.join(here, {!r})))"
start += [add.format(folder) for folder in beside.split(":") if folder]
if function:
    start += ["import importlib", f"sys.exit(importlib.import_module({module!r}).{function}())"]
elif module != "__main__":
    start += ["import runpy", f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"]
if module != "__main__":
    files["__main__.py"] = "\\n".join([*start, ""]).encode()
packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as archive:
    for name in sorted(files):
        about = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        about.external_attr = 0o100644 << 16
        about.create_system = 3
        archive.writestr(about, files[name], zipfile.ZIP_DEFLATED)
with open(output, "wb") as file:
    file.write(b"#!/usr/bin/env python3\\n" + packed.getvalue())
os.chmod(output, 0o755)
"""
"""Arguments: output, module or ``module:function``, folders beside the output that are looked into, ``NAME=PATH``..."""

WHEEL = """
import importlib, os, shutil, sys, tomllib
output, project, *paths = sys.argv[1:]
output = os.path.abspath(output)
sys.path[:0] = [os.path.abspath(one) for one in os.environ.get("PYTHONPATH", "").split(":") if one]
copy = os.path.join(os.environ.get("TMPDIR", "/tmp"), "project")
for path in paths:
    target = os.path.normpath(os.path.join(copy, os.path.relpath(path, project)))
    if target.startswith(copy + os.sep):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(path, target)
os.chdir(copy)
with open("pyproject.toml", "rb") as file:
    system = tomllib.load(file).get("build-system", {})
sys.path[:0] = [os.path.abspath(path) for path in system.get("backend-path", [])]
name, _, inner = system.get("build-backend", "setuptools.build_meta:__legacy__").partition(":")
try:
    backend = importlib.import_module(name)
except ModuleNotFoundError as error:
    if error.name != name.partition(".")[0]:
        raise
    needed = ", ".join(system.get("requires", ["setuptools"]))
    sys.exit(f"the build backend {name!r} is not installed here: the project asks for {needed}. Add the folder that "
             "holds it to hermetic.inputs, and to PYTHONPATH in hermetic.env")
for part in filter(None, inner.split(".")):
    backend = getattr(backend, part)
print("wrote", backend.build_wheel(output))
"""
"""Arguments: folder for the wheel, folder of the project, its files... Builds in a copy: backends write beside."""

TEST_RUN = """
import importlib.util, os, sys, time
runner, report, *files = sys.argv[1:]
if runner == "any":
    runner = "pytest" if importlib.util.find_spec("pytest") else "unittest"
if runner == "pytest":
    import pytest
    options = ["-p", "no:cacheprovider", "--rootdir=.", "--import-mode=importlib", f"--junitxml={report}"]
    sys.exit(pytest.main([*options, "-o", "junit_family=xunit2", *files]))
import traceback, unittest
from xml.etree import ElementTree
class Result(unittest.TextTestResult):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.suite = ElementTree.Element("testsuite", name="unittest")
        self.case, self.began = None, time.monotonic()
    def startTest(self, test):
        self.began = time.monotonic()
        self.case = None
        super().startTest(test)
    def _raised(self, test, tag, err):
        message = traceback.format_exception_only(err[0], err[1])[-1].strip().splitlines()[0]
        self._note(test, tag, self._exc_info_to_string(err, test), message)
    def _note(self, test, tag, text, message=""):
        if self.case is None or tag == "":
            owner, _, name = test.id().rpartition(".")
            self.case = ElementTree.SubElement(self.suite, "testcase", classname=owner, name=name)
        self.case.set("time", f"{time.monotonic() - self.began:.3f}")
        if tag:
            wrong = [*range(9), 11, 12, *range(14, 32), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF]
            clean = dict.fromkeys(wrong, "?")
            reason = ElementTree.SubElement(self.case, tag, message=(message or text)[:500].translate(clean))
            reason.text = text.translate(clean)
    def addSuccess(self, test):
        super().addSuccess(test)
        self._note(test, "", "")
    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._note(test, "skipped", reason)
    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._raised(test, "failure", err)
    def addError(self, test, err):
        super().addError(test, err)
        self._raised(test, "error", err)
    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.case = None
            self._raised(subtest, "failure", err)
    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self._note(test, "", "")
    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._note(test, "failure", "it succeeded, which was not expected")
suite = unittest.TestSuite()
for number, path in enumerate(files):
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules or name == "__init__":
        name = f"{name}_{number}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(module))
result = unittest.TextTestRunner(sys.stdout, verbosity=2, resultclass=Result).run(suite)
ElementTree.ElementTree(result.suite).write(report, encoding="utf-8", xml_declaration=True)
if not result.testsRun and not result.skipped:
    sys.exit("there is no test in " + ", ".join(files))
sys.exit(not result.wasSuccessful())
"""
"""Arguments: ``pytest``, ``unittest`` or ``any``, the report to write, files of tests... Ends with 0 if all passed."""
