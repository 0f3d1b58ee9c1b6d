"""Hosts for the tests: a bare one with the package in /root, and a site where it works. Every test has its own, fresh."""
import contextlib
import os
import pathlib
import signal
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import container  # noqa: E402
import trees      # noqa: E402
from site_host import Site  # noqa: E402


def interrupt(*_):
    raise KeyboardInterrupt


def pytest_configure(config):
    if os.geteuid() != 0:
        pytest.exit("make check-deb boots a Debian in a container, which only root may: run it as root", 2)
    # An end by SIGTERM takes everything down as Ctrl-C does.
    signal.signal(signal.SIGTERM, interrupt)
    container.sweep()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call" and outcome.get_result().failed:
        item.failed = True


@pytest.fixture(scope="session")
def package():
    """The package under test: PACKAGE=, or what make deb has built."""
    named = os.environ.get("PACKAGE")
    found = [pathlib.Path(named)] if named else sorted((trees.ROOT / os.environ.get("BUILD", "build/dev") / "deb").glob("rollbackd_*.deb"))
    assert len(found) == 1, f"which package? {found}"
    return found[0].resolve()


@contextlib.contextmanager
def host(item=None, **keywords):
    made = Site(**keywords)
    try:
        yield made
    finally:
        if getattr(item, "failed", False) and made.leader:
            print(made.describe())
        made.close(keep=bool(os.environ.get("KEEP")))


@pytest.fixture(scope="session")
def fetched(package):
    """A host that never runs: the package, and what it depends on, are there to be installed."""
    with host(packages=[package]) as made:
        yield made


@pytest.fixture(scope="session")
def prepared(fetched, package):
    """A host that was brought to work as README says, and powered off."""
    with host(over=fetched) as made:
        made.boot()
        made.install(package)
        made.prepare()
        made.power_off()
        yield made


@pytest.fixture
def bare(request, fetched):
    """Booted, with nothing of ours but a file in /root."""
    with host(request.node, over=fetched) as made:
        assert made.boot() == "running"
        yield made


@pytest.fixture
def site(request, prepared):
    """Booted, with a ledger, a registered service and its application, and rollbackd without a policy. The promises hold at the end."""
    with host(request.node, over=prepared) as made:
        assert made.boot() == "running"
        yield made
        if not getattr(request.node, "failed", False):
            made.assert_promises()
