"""The project's chores: `nox -l` lists them, `nox -s NAME -- ARGUMENTS` runs one.

Versions come from constraints.txt, so that a session does tomorrow what it did today.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests", "docs", "wheel"]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
DIST = ROOT / "dist"
EXTRAS = ("certificates", "cli", "gateway", "keyring", "otel", "redis", "simulator", "testing")
CONSTRAINTS = ("-c", "constraints.txt")
# Many tests wait for a server and not for a processor, so more run at once than there are cores. Neighbours
# stay together, for what a class records once.
PARALLEL = ("-n", "4", "--dist", "worksteal")
# The rest is for sessions of its own, every night.
SHORT = ("-m", "not large and not again")
# Workers and hundreds of child processes import the same modules: what one has compiled serves all, also
# where the environment forbids to write it beside the sources.
COMPILED = {
    "PYTHONDONTWRITEBYTECODE": None,
    "PYTHONPYCACHEPREFIX": str(Path(__file__).parent / ".nox" / "compiled"),
}

# Checks requests and answers against a vendor's description, https://docs.stoplight.io/docs/prism
PRISM = "@stoplight/prism-cli@5"

# What depends on the HTTP library; the rest is the same under both. Of these folders, some files play flows
# on bytes and never come to the library, or are about what becomes of an answer.
_PLAYED = {
    "core": "application_servers contract_versions damage evidence fuzz identifiers logins matrix paging"
    " plugin_slips proof refusals ruled rules search silence trust values",
    "ise": "bad_input discovery find lists provider reader",
}
OVER_HTTP = [
    *("tests/core", "tests/transports", "tests/ise"),
    *(
        f"--ignore=tests/{folder}/test_{name}.py"
        for folder, names in _PLAYED.items()
        for name in names.split()
    ),
]

# These make whole projects and run the suites of those; `nox -s mutants` has them.
PROJECTS = [
    "tests/kit/test_quality.py",
    "tests/kit/test_scaffold.py",
    "tests/test_readme.py::test_page_does_what_it_says[docs/how-to/write-a-plugin.md]",
]


def newest() -> str | None:
    """The newest Python at hand, by its path; None if that is the one that runs this file."""
    kept = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    for minor in range(14, sys.version_info.minor, -1):
        found = [shutil.which(f"python3.{minor}"), *sorted(map(str, kept.glob(f"3.{minor}.*/bin/python")))]
        for path in filter(None, found):
            # A name on the path may be a shim for a Python that is not there.
            done = subprocess.run([path, "-c", ""], capture_output=True, check=False)  # noqa: S603 - a Python
            if done.returncode == 0:
                return path
    return None


def group(*names: str) -> list[str]:
    """Requirements of dependency groups."""
    return list(nox.project.dependency_groups(PYPROJECT, *names))


def install(session: nox.Session, *requirements: str, extras: tuple[str, ...] = EXTRAS) -> None:
    """Install core and every plugin from the checkout, in place, and further requirements."""
    session.env["UV_NO_SOURCES"] = "1"  # all members are named here; uv need not look for them
    editable = [f".[{','.join(extras)}]", *(str(plugin.relative_to(ROOT)) for plugin in PLUGINS)]
    session.install(*(word for path in editable for word in ("-e", path)), *requirements)


def projects() -> list[str]:
    """Arguments for `uv pip compile`: the metadata of core and every plugin, their own names left out."""
    paths = [str((path / "pyproject.toml").relative_to(ROOT)) for path in (ROOT, *PLUGINS)]
    return [*paths, *(f"--no-emit-package={path.name}" for path in PLUGINS), "--no-emit-package=mdmsdk"]


def existing(*names: str) -> list[str]:
    """Those of the named files and folders that are there."""
    return [name for name in names if (ROOT / name).exists()]


@nox.session
@nox.parametrize("http", ["httpx", "httpx2"], ids=["httpx", "httpx2"])
def tests(session: nox.Session, http: str) -> None:
    """Run the test suite, and over httpx2 what depends on it."""
    extras = (*EXTRAS, "httpx2") if http == "httpx2" else EXTRAS
    install(session, *group("test", "servers"), *CONSTRAINTS, extras=extras)
    part = OVER_HTTP if http == "httpx2" else [*SHORT, *(f"--deselect={path}" for path in PROJECTS)]
    session.run("pytest", *(session.posargs or [*PARALLEL, *part]), env={**COMPILED, "MDMSDK_HTTP": http})


@nox.session
def large(session: nox.Session) -> None:
    """Compare with the truth what each vendor's provider says about thousands of devices. Minutes."""
    install(session, *group("test", "servers"), *CONSTRAINTS)
    tests = session.posargs or ["tests/vendors", "tests/gateway/test_everything.py"]
    session.run("pytest", *PARALLEL, "-m", "large", *tests, env=COMPILED)


@nox.session
def again(session: nox.Session) -> None:
    """Run in the second mode what the test suite runs in one. Minutes."""
    install(session, *group("test", "servers"), *CONSTRAINTS)
    session.run("pytest", *PARALLEL, "-m", "again", *session.posargs, env=COMPILED)


@nox.session
def gateway_contract(session: nox.Session) -> None:
    """Put the contract of `ise` to a gateway in front of every provider: `-- -k OverJamf` for one. Long."""
    install(session, *group("test"), *CONSTRAINTS)
    session.run("pytest", *PARALLEL, "tests/gateway/every_provider.py", *session.posargs)


@nox.session(python=newest())
def tests_newest(session: nox.Session) -> None:
    """Run what depends on the HTTP library with the newest Python at hand."""
    if newest() is None:
        session.skip("no newer Python than this one is at hand")
    install(session, *group("test"), *CONSTRAINTS, extras=(*EXTRAS, "httpx2"))
    session.run("pytest", *(session.posargs or [*PARALLEL, *OVER_HTTP]), env=COMPILED)


@nox.session
def tests_min(session: nox.Session) -> None:
    """Run the test suite with the oldest versions that the metadata allows."""
    oldest = Path(session.create_tmp()) / "oldest.txt"
    session.install("uv", *CONSTRAINTS)
    session.run_install(
        *("uv", "pip", "compile", "--quiet", "--resolution=lowest-direct", "--no-annotate"),
        *(f"--extra={extra}" for extra in EXTRAS),
        *(f"--output-file={oldest}", *projects()),
    )
    install(session, *group("test"), "-c", str(oldest))
    env = {**COMPILED, "MDMSDK_HTTP": "httpx"}
    session.run("pytest", *(session.posargs or [*PARALLEL, *SHORT]), env=env)


@nox.session
def foreign(session: nox.Session) -> None:
    """Let other people's clients ask our simulators, and Prism check our requests, where npm is at hand."""
    install(session, *group("test", "foreign"), *CONSTRAINTS)
    env = {}
    if npm := shutil.which("npm"):
        folder = Path(session.create_tmp())
        command = (npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), PRISM)
        session.run_install(*command, external=True)
        env["MDMSDK_PRISM"] = str(folder / "node_modules/.bin/prism")
    # The clients leave sockets to the garbage collector, and one warns of itself when it is imported.
    warnings = ("-W", "ignore::ResourceWarning", "-W", "ignore::DeprecationWarning")
    session.run(
        "pytest", "-p", "no:unraisableexception", *warnings, *(session.posargs or ["tests/foreign"]), env=env
    )


@nox.session
def described(session: nox.Session) -> None:
    """Ask the gateway all that its description says, and more, and hold its answers against it."""
    install(session, *group("test", "described"), *CONSTRAINTS)
    session.run("pytest", *(session.posargs or ["tests/gateway/test_described.py"]))


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the test suite once and say which lines it misses."""
    install(session, *group("test"), *CONSTRAINTS)
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting; `nox -s lint -- --fix` repairs what can be repaired."""
    session.install(*group("lint"), *CONSTRAINTS)
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]))


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of core, plugins and tests, strictly, and that all of core's public names have one."""
    install(session, *group("test", "types"), *CONSTRAINTS, extras=(*EXTRAS, "httpx2"))
    targets = existing("mdmsdk", "tests", "benchmarks", "noxfile.py")
    packages = [str(path.parent) for plugin in PLUGINS for path in plugin.glob("*/__init__.py")]
    roots = os.pathsep.join(map(str, PLUGINS))
    session.run("mypy", *targets, *packages, *session.posargs, env={"MYPYPATH": roots})
    session.run("pytest", "tests/typing")
    with session.chdir(session.create_tmp()):  # from the checkout it would not see an installed package
        session.run("pyright", "--verifytypes", "mdmsdk", "--ignoreexternal")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    install(session, *group("docs"), *CONSTRAINTS, extras=(*EXTRAS, "httpx2"))
    session.run("sphinx-build", "-W", "-n", "--keep-going", "docs", "docs/_build/html", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build sdists and wheels of core and of every plugin into dist/."""
    session.install(*group("package"), *CONSTRAINTS)
    shutil.rmtree(DIST, ignore_errors=True)
    for project in (ROOT, *PLUGINS):
        command = ("python", "-m", "build", "--no-isolation", "--outdir", str(DIST), str(project))
        session.run(*command, silent=True)
    (core,) = DIST.glob("mdmsdk-*.tar.gz")
    with tarfile.open(core) as archive:
        names = {name.split("/")[1] for name in archive.getnames()}
    expected = {"mdmsdk", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO", ".gitignore"}
    if names != expected:
        session.error(f"{core.name} has more or less than core: {sorted(names ^ expected)}")


@nox.session(reuse_venv=False, requires=["build"])
def wheel(session: nox.Session) -> None:
    """Install the wheels into a clean environment and use them where there are no sources."""
    core, *plugins = sorted(DIST.glob("*.whl"), key=lambda path: not path.name.startswith("mdmsdk-"))
    with tempfile.TemporaryDirectory() as elsewhere:
        # Somebody else's project, with core and pytest alone: our pytest plugin must not be in its way.
        session.install(str(core), "pytest", *CONSTRAINTS)
        Path(elsewhere, "test_other.py").write_text("def test_other(): pass\n", encoding="utf-8")
        with session.chdir(elsewhere):
            session.run("pytest", "-q", "-W", "error")
    session.install(f"{core}[cli,simulator,testing]", *map(str, plugins), *CONSTRAINTS)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as elsewhere:
        checks = existing("tests/test_packaging.py")
        for name in checks:
            shutil.copy(ROOT / name, elsewhere)
        with session.chdir(elsewhere):
            session.run("mdm", "--version")
            session.run("mdm", "providers")
            if checks:
                session.run("pytest", "-W", "error", env={"MDMSDK_WHEEL": "1"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against the bare HTTP library; arguments go to the benchmarks."""
    install(session, *group("bench"), *CONSTRAINTS, extras=(*EXTRAS, "httpx2"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Damage each provider's good answers in many ways: none may become a pass. Long: `-- --count 50000`."""
    install(session, *CONSTRAINTS)
    session.run(
        "python", "-m", "mdmsdk.testing.fuzz", *(session.posargs or ["--count", "300", "--clients", "30"])
    )


@nox.session
def killed(session: nox.Session) -> None:
    """Kill a simulator, a replica and Redis, each in the middle of a thousand lookups. Minutes."""
    install(session, *group("test"), *CONSTRAINTS)
    files = ("tests/federation/test_killed.py", "tests/gateway/test_killed.py")
    session.run("pytest", "--timeout=600", *files, env={"MDM_KILLED_LOOKUPS": "1000"})


@nox.session
def crowd(session: nox.Session) -> None:
    """Hold 10,000 connections of the gateway, which serves others meanwhile. Needs many open files."""
    install(session, *group("test"), *CONSTRAINTS)
    session.run("pytest", "tests/gateway/test_connections.py", env={"MDM_CONNECTIONS": "10000"})


@nox.session
def deployed(session: nox.Session) -> None:
    """Do what deploy/ says: the steps of the container file, and the services as processes. Minutes."""
    install(session, *group("test"), *CONSTRAINTS)
    session.run("pytest", "tests/gateway/test_deployed.py", env={"MDM_DEPLOYED": "1"})


@nox.session
def image(session: nox.Session) -> None:
    """Build the image of deploy/ over that of MDM_BASE_IMAGE, and run it with Podman or Docker. Minutes."""
    install(session, *group("test", "image"), *CONSTRAINTS)
    session.run("pytest", "-s", *(session.posargs or ["tests/gateway/test_image.py"]))


@nox.session
def mutants(session: nox.Session) -> None:
    """Plant bugs into sample plugins, which the contract suite must find, and let new plugins pass it."""
    install(session, *group("test", "lint", "package"), *CONSTRAINTS)
    session.run("python", "-m", "tests.kit.mutants", *session.posargs)
    if not session.posargs:
        session.run("pytest", "-n", "2", *PROJECTS)


@nox.session
def matrix(session: nox.Session) -> None:
    """Let every fault of the matrix meet every provider, in both modes."""
    install(session, *CONSTRAINTS)
    session.run("python", "-m", "mdmsdk.testing.matrix", "--jobs", "2", *session.posargs)


@nox.session
def scaffolds(session: nox.Session) -> None:
    """Make a plugin of each way to log in and to read lists, and run all of its checks."""
    install(session, *group("test", "lint", "types", "package"), *CONSTRAINTS)
    session.run("pytest", "tests/kit/test_scaffold.py", *session.posargs, env={"MDMSDK_ALL_SCAFFOLDS": "1"})


@nox.session
def soak(session: nox.Session) -> None:
    """Make 100,000 lookups on a server with faults, and look at memory, threads and descriptors."""
    install(session, *group("bench"), *CONSTRAINTS, extras=(*EXTRAS, "httpx2"))
    session.run("python", "-m", "benchmarks.soak", *session.posargs)


@nox.session
def record(session: nox.Session) -> None:
    """Record cassettes: `nox -s record -- VENDOR`, from a simulator unless a tenant's settings are given."""
    install(session, *CONSTRAINTS)
    session.run("python", "-m", "mdmsdk.testing.record", *session.posargs)


@nox.session
def constraints(session: nox.Session) -> None:
    """Renew constraints.txt: every dependency of core, extras, groups and plugins, for all platforms."""
    session.install("uv", *CONSTRAINTS)
    session.run(
        *("uv", "pip", "compile", "--quiet", "--universal", "--upgrade", "--all-extras", "--group=dev"),
        *("--group=foreign", "--group=described", "--group=image"),
        *("--no-annotate", "--no-emit-index-url", "--custom-compile-command=nox -s constraints"),
        *("--output-file=constraints.txt", *projects()),
    )
