"""Cooling, half-open probing and recovery of circuits."""

import msgspec

from meterway.protocols.dialects import Dialect
from meterway.routing.health import Breaker, Health
from meterway.upstreams.types import Channel, Credential, Provider, Route
from tests.fakes.clock import FakeClock

ROW = Provider(name="row", title="Row", source="here", speaks={Dialect.OPENAI_CHAT: "/chat"})


def _route(channel: int = 1, credential: str = "a", model: str = "m") -> Route:
    key = Credential(credential, "secret")
    place = Channel(id=channel, name="c", provider=ROW, base_url="http://x", credentials=(key,))
    return Route(channel=place, credential=key, model=model, dialect=Dialect.OPENAI_CHAT)


def _health(**breaker) -> tuple[Health, FakeClock]:
    clock = FakeClock()
    return Health(clock, Breaker(**breaker)), clock


def test_a_circuit_opens_after_the_threshold_of_failures_in_a_row():
    health, _ = _health(threshold=3, first=5)

    health.failed(_route())
    health.failed(_route())
    assert health.cooling(_route()) == 0
    health.failed(_route())

    assert health.cooling(_route()) == 5


def test_a_success_in_between_starts_the_count_again():
    health, _ = _health(threshold=2)

    health.failed(_route())
    health.succeeded(_route())
    health.failed(_route())

    assert health.cooling(_route()) == 0


def test_a_time_the_upstream_named_cools_at_once():
    health, clock = _health(threshold=3)

    health.failed(_route(), cool_for=20)

    assert health.cooling(_route()) == 20
    clock.advance(20)
    assert health.cooling(_route()) == 0


def test_other_credentials_and_channels_stay_open():
    health, _ = _health(threshold=1)

    health.failed(_route(1, "a"))

    assert health.cooling(_route(1, "a")) > 0
    assert health.cooling(_route(1, "b")) == 0
    assert health.cooling(_route(2, "a")) == 0


def test_a_busy_model_leaves_its_neighbours_open():
    health, _ = _health(threshold=1)

    health.failed(_route(model="busy"))

    assert health.cooling(_route(model="busy")) > 0
    assert health.cooling(_route(model="idle")) == 0


def test_a_refused_credential_rests_for_every_model():
    health, _ = _health(threshold=1)

    health.failed(_route(model="one"), every_model=True)

    assert health.cooling(_route(model="other")) > 0


def test_circuits_are_bounded_though_callers_choose_the_names():
    health, _ = _health(threshold=1)

    for number in range(5000):
        health.failed(_route(model=f"made-up-{number}"))

    assert len(health._circuits) == 4096
    assert health.cooling(_route(model="made-up-4999")) > 0


def test_only_one_call_probes_a_half_open_circuit():
    health, clock = _health(threshold=1, first=5)
    health.failed(_route())
    clock.advance(5)

    with health.trial(_route()):
        during = health.cooling(_route())
    after = health.cooling(_route())

    assert during == 5
    assert after == 0


def test_a_failed_probe_cools_twice_as_long_up_to_the_longest():
    health, clock = _health(threshold=1, first=5, longest=8)
    health.failed(_route())
    clock.advance(5)

    with health.trial(_route()):
        health.failed(_route())

    assert health.cooling(_route()) == 8


def test_an_interrupted_probe_frees_the_circuit_for_another():
    health, clock = _health(threshold=1, first=5)
    health.failed(_route())
    clock.advance(5)

    try:
        with health.trial(_route()):
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass

    assert health.cooling(_route()) == 0


def test_a_successful_probe_closes_the_circuit():
    health, clock = _health(threshold=1, first=5)
    health.failed(_route())
    clock.advance(5)

    with health.trial(_route()):
        health.succeeded(_route())
    health.failed(_route(2))

    assert health.cooling(_route()) == 0


def test_circuits_of_removed_channels_are_forgotten():
    health, _ = _health(threshold=1)
    health.failed(_route(1))
    health.failed(_route(2))

    health.forget({2})

    assert health.cooling(_route(1)) == 0
    assert health.cooling(_route(2)) > 0


def test_a_provider_that_fails_on_request_never_rests():
    health, _ = _health(threshold=1)
    tireless = msgspec.structs.replace(ROW, rests=False)
    channel = msgspec.structs.replace(_route().channel, provider=tireless)
    route = msgspec.structs.replace(_route(), channel=channel)

    health.failed(route, cool_for=20)
    health.failed(route, every_model=True)

    assert health.cooling(route) == 0
