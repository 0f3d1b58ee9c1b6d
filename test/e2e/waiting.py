"""Waiting for a condition: the only place of the tests that may sleep."""
import asyncio
import time


def wait_until(condition, what, seconds=30):
    """Returns the condition's first true value; fails with what was awaited."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what() if callable(what) else what}")
        time.sleep(0.01)
    return value


def stays(condition, what, seconds=1.0):
    """Asserts that a condition holds all of the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"does not stay: {what}"
        time.sleep(0.02)


def pause(seconds):
    """Until a moment that a test has drawn at random, because anything may be happening then."""
    time.sleep(seconds)


async def idle(seconds):
    """What a slow server does between two bytes."""
    await asyncio.sleep(seconds)
