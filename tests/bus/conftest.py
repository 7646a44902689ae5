"""Fixtures of more than one of these tests."""

import pytest
from redis import Redis

from tests.bus.audit_bus import found, healthy


@pytest.fixture
def healthy_bus(redis: Redis) -> None:
    """A bus in which the audit finds nothing."""
    healthy(redis)
    assert found(redis) == []
