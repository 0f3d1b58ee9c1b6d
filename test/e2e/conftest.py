"""The world of a test, and its promises afterwards."""
import pytest
from names import NameServer
from world import World


def pytest_configure(config):
    config.addinivalue_line("markers", "sanitize: is also run with the sanitizers' build")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call" and outcome.get_result().failed:
        item.failed = True


@pytest.fixture
def world(request):
    """Asserts the promises once the test has passed; a failed one is only taken down."""
    made = World()
    yield made
    if getattr(request.node, "failed", False):
        print(made.daemon.log()[-6000:] if made.daemon.log_path.exists() else "")
        made.close()
    else:
        made.finish()


@pytest.fixture
def names(world):
    """The name server of the world's rollbackd, and of nobody else."""
    server = world.add(NameServer())
    world.daemon.prefix = server.enter(world.root)
    return server
