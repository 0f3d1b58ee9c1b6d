"""The promises themselves: a world in which one was broken does not pass."""
import pytest
from promises import assert_limits, assert_operations, assert_pointer, assert_secrets_kept
from supervisor import SANITIZED


@pytest.fixture
def after_a_rollback(world):
    world.start()
    world.release_bad()
    world.wait_state("recovered")
    assert_pointer(world)
    return world


def move(world, old, new, old_epoch, by="rollbackd"):
    world.rows("INSERT INTO witness.pointer (service, old_version, new_version, old_epoch, new_epoch, by) "
               "VALUES ('users-api', %s, %s, %s, %s, %s)", old, new, old_epoch, old_epoch + 1, by)


@pytest.mark.parametrize("moves", [
    [("v1", "v0", 3)],                                          # a further step back, without an operation
    [("v2", "v1", 2)],                                          # the same incident twice
    [("v1", "v2", 3, "ci"), ("v2", "v1", 4)],                   # an act without a record
    [("v1", "v3", 3, "ci")],                                    # the pointer is not where the moves end
])
def test_a_wrong_move_of_the_pointer_is_seen(after_a_rollback, moves):
    for one in moves:
        move(after_a_rollback, *one)
    with pytest.raises(AssertionError):
        assert_pointer(after_a_rollback)
    after_a_rollback.rows("DELETE FROM witness.pointer WHERE n > 3")


def test_a_step_that_was_forgotten_is_seen(after_a_rollback):
    world = after_a_rollback
    world.rows("INSERT INTO rollbackd.step (operation, n, kind, spec) SELECT id, 9, 'sql', '{}' FROM rollbackd.operation")
    with pytest.raises(AssertionError):
        assert_operations(world)
    world.rows("DELETE FROM rollbackd.step WHERE n = 9")


def test_a_secret_that_got_out_is_seen(after_a_rollback):
    world = after_a_rollback
    world.secrets["leaked"] = "rollbackd_service_health"
    with pytest.raises(AssertionError):
        assert_secrets_kept(world)
    del world.secrets["leaked"]


def test_limits_that_were_passed_are_seen(after_a_rollback):
    world, base = after_a_rollback, dict(after_a_rollback.base)
    world.base["process_open_fds"] = -1000
    with pytest.raises(AssertionError):
        assert_limits(world, SANITIZED, seconds=0.2)
    world.base = base
