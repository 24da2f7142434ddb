"""From a model's name to the routes worth trying."""

from collections import Counter
from collections.abc import Callable

import pytest

from meterway.catalog.service import Catalog
from meterway.catalog.types import Model
from meterway.protocols.dialects import Dialect
from meterway.routing.health import Breaker, Health
from meterway.routing.router import (
    AllCoolingError,
    ModelNotAllowedError,
    ModelNotFoundError,
    Router,
)
from meterway.upstreams.types import Channel, Credential, Provider, Route
from tests.fakes.clock import FakeClock

CHAT, MESSAGES = Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES
ANY = Provider(name="any", title="Any", source="x", speaks={CHAT: "/chat/completions"})
RESPONSES = Dialect.OPENAI_RESPONSES
THINKS = Provider(name="thinks", title="T", source="x", speaks={RESPONSES: "/responses"})
BOTH = Provider(name="both", title="Both", source="x", speaks={CHAT: "/c", MESSAGES: "/m"})
CLAUDE = Provider(
    name="claude", title="C", source="x", speaks={MESSAGES: "/m"}, hosts=frozenset({"anthropic"})
)
SANDBOX = Channel(id=0, name="sandbox", provider=BOTH, base_url="http://sandbox", credentials=())
CATALOG = Catalog(
    [
        Model(id="gpt-4o", family="gpt-4o", vendor="openai", title="GPT-4o"),
        Model(
            id="claude-3-opus-20240229",
            family="claude-opus",
            vendor="anthropic",
            title="Opus",
            aliases=("claude-3-opus",),
        ),
        Model(id="sandbox/echo", family="sandbox", vendor="sandbox", title="Echo"),
    ]
)


def _channel(id_: int, provider: Provider = ANY, **facts) -> Channel:
    facts.setdefault("credentials", (Credential("a", "s"),))
    return Channel(id=id_, name=f"c{id_}", provider=provider, base_url="http://x", **facts)


def _router(
    *channels: Channel,
    pretend: bool = False,
    health: Health | None = None,
    priced: Callable[[str], bool] = lambda _: True,
) -> Router:
    health = health or Health(FakeClock(), Breaker(threshold=1, first=7))
    return Router(channels, CATALOG, health, stand_in=SANDBOX, pretend=pretend, priced=priced)


def _tried(router: Router, model: str = "gpt-4o", dialect: Dialect = CHAT) -> list[str]:
    return [route.channel.name for route in router.candidates(model, dialect)]


def test_lower_priorities_are_tried_first():
    router = _router(_channel(1, priority=5), _channel(2, priority=0), _channel(3, priority=1))

    assert _tried(router) == ["c2", "c3", "c1"]


def test_a_name_the_catalogue_lacks_goes_to_those_who_list_it_alone():
    engine = _channel(2, priority=100, models={"local:7b": "local:7b"})
    router = _router(_channel(1), engine, _channel(3, models={"else": "else"}))

    assert _tried(router, "local:7b") == ["c2"]
    assert _tried(router, "unlisted:7b") == ["c1"]


def test_a_name_of_the_catalogue_goes_to_those_who_guess_it_too():
    router = _router(_channel(1), _channel(2, priority=100, models={"gpt-4o": "gpt-4o"}))

    assert _tried(router, "gpt-4o") == ["c1", "c2"]


def test_calls_spread_by_weight_within_a_priority():
    router = _router(_channel(1, weight=9), _channel(2, weight=1))

    firsts = Counter(_tried(router)[0] for _ in range(2000))

    assert 1700 < firsts["c1"] < 1900


def test_credentials_of_a_channel_take_turns_and_back_each_other_up():
    keys = (Credential("a", "1"), Credential("b", "2"), Credential("c", "3"))
    router = _router(_channel(1, credentials=keys))

    orders = [
        "".join(r.credential.id for r in router.candidates("m", CHAT) if r.credential)
        for _ in range(3)
    ]

    assert sorted(orders) == ["abc", "bca", "cab"]


def test_a_listed_name_is_called_by_the_upstreams_name():
    router = _router(_channel(1, models={"fast": "gpt-4o-mini"}))

    (route,) = router.candidates("fast", CHAT)

    assert route.model == "gpt-4o-mini"


def test_a_channel_with_a_list_serves_nothing_else():
    router = _router(_channel(1, models={"fast": "gpt-4o-mini"}))

    with pytest.raises(ModelNotFoundError) as caught:
        router.candidates("gpt-4o", CHAT)

    assert (caught.value.status, caught.value.param) == (404, "model")


def test_an_alias_finds_the_listed_model():
    router = _router(_channel(1, models={"claude-3-opus-20240229": "anthropic.opus"}))

    (route,) = router.candidates("claude-3-opus", CHAT)

    assert route.model == "anthropic.opus"


@pytest.mark.parametrize("asked", ["TA/gpt-4o", "TA:gpt-4o"])
def test_a_prefix_is_taken_off(asked):
    router = _router(_channel(1, prefix="TA"))

    (route,) = router.candidates(asked, CHAT)

    assert route.model == "gpt-4o"


def test_a_prefix_reaches_only_its_channel():
    router = _router(_channel(1, CLAUDE), _channel(2, prefix="TA", models={"gpt-4o": "gpt-4o"}))

    assert _tried(router, "TA/gpt-4o") == ["c2"]


def test_a_vendors_channel_serves_that_vendors_models_alone():
    router = _router(_channel(1, CLAUDE))

    assert _tried(router, "claude-3-opus") == ["c1"]
    with pytest.raises(ModelNotFoundError):
        router.candidates("gpt-4o", CHAT)


def test_a_model_newer_than_the_catalogue_goes_to_the_vendor_its_name_tells():
    router = _router(_channel(1, CLAUDE))

    assert _tried(router, "claude-opus-99") == ["c1"]


def test_the_callers_dialect_is_kept_where_the_provider_speaks_it():
    router = _router(_channel(1, BOTH), _channel(2, CLAUDE, priority=1))

    routes = router.candidates("claude-3-opus", CHAT)

    assert [route.dialect for route in routes] == [CHAT, MESSAGES]


@pytest.mark.parametrize(
    ("dialect", "spoken"),
    [
        (Dialect.OPENAI_COMPLETIONS, CHAT),
        (Dialect.ANTHROPIC_COMPLETE, MESSAGES),
        (Dialect.GEMINI, CHAT),
    ],
)
def test_a_dialect_nobody_speaks_upstream_goes_to_its_vendors_other_one(dialect, spoken):
    router = _router(_channel(1, BOTH))

    (route,) = router.candidates("claude-3-opus", dialect)

    assert route.dialect is spoken


def test_cooling_routes_are_left_out():
    health = Health(FakeClock(), Breaker(threshold=1, first=7))
    router = _router(_channel(1), _channel(2, priority=1), health=health)
    health.failed(router.candidates("gpt-4o", CHAT)[0])

    assert _tried(router) == ["c2"]


def test_when_all_cool_the_error_says_when_to_come_back_and_the_sandbox_keeps_out():
    health = Health(FakeClock(), Breaker(threshold=1, first=7))
    router = _router(_channel(1), health=health, pretend=True)
    health.failed(router.candidates("gpt-4o", CHAT)[0])

    with pytest.raises(AllCoolingError) as caught:
        router.candidates("gpt-4o", CHAT)

    assert (caught.value.status, caught.value.retry_after) == (503, 7)


def test_disabled_channels_serve_nothing():
    router = _router(_channel(1, enabled=False))

    with pytest.raises(ModelNotFoundError):
        router.candidates("gpt-4o", CHAT)


@pytest.mark.parametrize("provider", [CLAUDE, ANY])
def test_the_sandbox_always_answers_for_its_own_models(provider):
    router = _router(_channel(1, provider))

    assert _tried(router, "sandbox/echo") == ["sandbox"]


def test_a_channel_that_lists_a_sandbox_model_means_it():
    router = _router(_channel(1, models={"sandbox/echo": "gpt-4o"}))

    assert _tried(router, "sandbox/echo") == ["c1"]


def test_the_sandbox_answers_for_the_catalogue_only_while_it_may_pretend():
    assert _tried(_router(pretend=True), "gpt-4o") == ["sandbox"]
    with pytest.raises(ModelNotFoundError):
        _router(pretend=False).candidates("gpt-4o", CHAT)


def test_the_sandbox_does_not_answer_for_unknown_models():
    with pytest.raises(ModelNotFoundError):
        _router(pretend=True).candidates("no-such-model", CHAT)


def test_a_flood_of_made_up_names_keeps_memory_bounded():
    router = _router(_channel(1))

    for number in range(10_000):
        router.candidates(f"made-up-{number}", CHAT)

    assert len(router._targets) <= 4096


def test_offered_lists_catalogue_models_then_own_names():
    router = _router(_channel(1, CLAUDE), _channel(2, models={"fast": "x"}, prefix="TA"))

    offered = router.offered()

    assert offered == ["claude-3-opus-20240229", "sandbox/echo", "TA/fast", "fast"]


@pytest.mark.parametrize("permission", ["claude-3-opus", "claude-3-opus-20240229", "claude-opus"])
def test_a_model_is_permitted_by_any_of_its_names_or_its_family(permission):
    router = _router(_channel(1))

    router.permit("claude-3-opus", lambda name, family: permission in {name, family})

    with pytest.raises(ModelNotAllowedError):
        router.permit("gpt-4o", lambda name, family: permission in {name, family})


# -- what has no price ---------------------------------------------------------------------------

ENGINE = Provider(name="engine", title="E", source="x", speaks={CHAT: "/c"}, local=True)


def _nothing_priced(model: str) -> bool:
    del model
    return False


def test_a_model_without_a_price_is_not_offered_and_not_told_of():
    router = _router(_channel(1, models={"gpt-4o": "x", "fast": "y"}), priced={"fast"}.__contains__)

    assert router.offered() == ["sandbox/echo", "fast"]
    assert (router.serves("gpt-4o"), router.serves("fast")) == (False, True)
    with pytest.raises(ModelNotFoundError) as refused:
        router.candidates("gpt-4o", CHAT)
    with pytest.raises(ModelNotFoundError) as unknown:
        router.candidates("unknown", CHAT)
    assert refused.value.message.replace("gpt-4o", "unknown") == unknown.value.message


def test_engines_of_ones_own_offer_their_models_without_a_price():
    router = _router(_channel(1, ENGINE, models={"llama": "llama"}), priced=_nothing_priced)

    assert _tried(router, "llama") == ["c1"]
    assert router.terms("llama").free


def test_a_model_that_a_vendor_offers_too_is_not_free():
    engine = _channel(1, ENGINE, models={"gpt-4o": "gpt-4o"})

    assert not _router(engine, _channel(2)).terms("gpt-4o").free
    assert not _router(engine, _channel(2), priced=_nothing_priced).serves("gpt-4o")
    assert _router(engine, _channel(2, enabled=False)).terms("gpt-4o").free


def test_the_sandboxs_own_models_are_free_and_those_it_stands_in_for_ask_their_price():
    router = _router(pretend=True, priced={"gpt-4o"}.__contains__)

    assert router.terms("sandbox/echo").free
    assert not router.terms("gpt-4o").free
    assert router.terms("claude-3-opus").free
    assert router.offered() == ["gpt-4o", "claude-3-opus-20240229", "sandbox/echo"]


def test_what_nobody_offers_is_not_free():
    assert not _router().terms("gpt-4o").free


def test_a_name_behind_a_prefix_is_priced_as_the_name_alone_unless_it_has_its_own():
    channel = _channel(1, prefix="TA")

    plain = _router(channel, priced={"gpt-4o"}.__contains__)
    own = _router(channel, priced={"gpt-4o", "TA/gpt-4o"}.__contains__)

    assert plain.serves("TA/gpt-4o")
    assert plain.terms("TA/gpt-4o") == ("gpt-4o", False)
    assert own.terms("TA/gpt-4o") == ("TA/gpt-4o", False)
    assert (plain.terms("gpt-4o").name, plain.terms("x").name) == ("gpt-4o", "x")


def test_channels_with_models_that_have_no_price_are_named():
    router = _router(
        _channel(1, models={"gpt-4o": "x", "fast": "y"}),
        _channel(2, CLAUDE),
        _channel(3, ENGINE, models={"llama": "llama"}),
        priced={"gpt-4o"}.__contains__,
    )

    assert router.unpriced() == {"c1": ["fast"], "c2": ["claude-3-opus-20240229"]}


def _makers(router: Router, dialect: Dialect, *named: str) -> list[str]:
    return [route.maker for route in router.candidates("gpt-4o", dialect, lambda: named)]


def test_makers_of_what_a_call_brings_stand_first_in_their_order():
    keys = (Credential("a", "s", "A"), Credential("b", "t", "B"))
    router = _router(
        _channel(1, THINKS, credentials=keys),
        _channel(2, THINKS, priority=1, credentials=(Credential("c", "u", "C"),)),
        _channel(3, THINKS, priority=2, credentials=(), maker="D"),
    )

    told = [_makers(router, RESPONSES, "D", "gone", "C") for _ in range(4)]

    assert {tuple(makers[:2]) for makers in told} == {("D", "C")}
    assert {tuple(makers[2:]) for makers in told} == {("A", "B"), ("B", "A")}
    assert _makers(router, RESPONSES)[2:] == ["C", "D"]


def test_a_resting_maker_is_no_candidate():
    health = Health(FakeClock(), Breaker(threshold=1, first=7))
    one, two = (
        _channel(id_, THINKS, credentials=(Credential(name, name, name),))
        for id_, name in enumerate("AB", 1)
    )
    router = _router(one, two, health=health)
    credential = two.credentials[0]
    health.failed(Route(channel=two, credential=credential, model="gpt-4o", dialect=RESPONSES))

    assert _makers(router, RESPONSES, "B") == ["A"]


def test_a_call_is_asked_for_makers_only_where_they_may_decide():
    def never() -> list[str]:
        raise AssertionError("nobody needs to know")

    one = _router(_channel(1, THINKS))
    several = _router(_channel(1), _channel(2))

    assert len(one.candidates("gpt-4o", RESPONSES, never)) == 1
    assert len(several.candidates("gpt-4o", CHAT, never)) == 2
