"""The official SDKs' own API suites against a live gateway, with every exception named."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from anthropic.resources.messages.messages import DEPRECATED_MODELS

from tests.conformance.published import Outcome, beside, outcomes, unpacked
from tests.factories.gateways import Gateway
from tests.factories.seeds import seed

pytestmark = pytest.mark.conformance


@dataclass(frozen=True)
class OptOut:
    """Tests of a suite that must fail, and what their failure must say: a status, or more."""

    tests: str
    told: int | str
    reason: str

    @property
    def failure(self) -> str:
        """What the failure has in it."""
        return self.told if isinstance(self.told, str) else f"Error code: {self.told} "

    def covers(self, outcome: Outcome) -> bool:
        return re.search(self.tests, outcome.name) is not None


_FORMS = r"\.test_(method|raw_response|streaming_response)_"
OPENAI_OPT_OUTS = [
    OptOut(
        r"^chat\.completions\.test_messages\..*test_method_list_with_all_params",
        400,
        "it goes on behind a message `after`, and no completion has one of that id",
    ),
    OptOut(
        r"^test_responses\..*test_method_create_with_all_params",
        400,
        "it names a prompt kept by its vendor",
    ),
    OptOut(rf"^test_models\..*{_FORMS}delete", 405, "models of the catalogue are not the caller's"),
]
OPENAI_FILES = [
    "tests/api_resources/chat",
    "tests/api_resources/test_completions.py",
    "tests/api_resources/conversations",
    "tests/api_resources/test_conversations.py",
    "tests/api_resources/test_models.py",
    "tests/api_resources/responses",
    "tests/api_resources/test_responses.py",
]
ANTHROPIC_FILES = [
    "tests/api_resources/test_messages.py",
    "tests/api_resources/test_models.py",
    "tests/api_resources/beta/test_messages.py",
    "tests/api_resources/beta/test_models.py",
]
LEGACY, LEGACY_NEEDS = "0.125.0", "httpx-aiohttp==0.1.12"
# Names the suites use that no catalogue holds: placeholders, and models long retired.
SEEDS = {"model_id", "after_id", "before_id", "ft:gpt-4o-mini:acemeco:suffix:abc123"}
SEEDS |= {"gpt-3.5-turbo-instruct", "model"}
SEEDS |= {name for name in DEPRECATED_MODELS if re.search(r"-[12]\.\d", name)}


@pytest.fixture(scope="module")
def seeded(new_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway of the sandbox that also knows the suites' placeholders."""
    made = new_gateway()
    offered = ",".join(f"{name}=sandbox/echo" for name in sorted(SEEDS))
    made.run("channel", "add", "--provider", "sandbox", "--name", "seeds", "--models", offered)
    made.run("key", "update", made.key, "--default-model", "gpt-4o-mini")
    seed(made)
    return made.start()


def judged(found: list[Outcome], opt_outs: list[OptOut]) -> dict[str, str]:
    """Return what is wrong with a run, by the name of the test: it should be empty."""
    wrong = {outcome.name: "skipped" for outcome in found if outcome.skipped}
    for outcome in found:
        opted = [out for out in opt_outs if out.covers(outcome)]
        if not opted and outcome.failure:
            wrong[outcome.name] = outcome.failure
        elif opted and not outcome.failure:
            wrong[outcome.name] = f"passes, so it is no exception: {opted[0].reason}"
        elif opted and not re.search(opted[0].failure, outcome.failure):
            wrong[outcome.name] = f"not refused by {opted[0].told}: {outcome.failure}"
    return wrong


def test_openais_suite_passes_but_for_what_is_not_offered(seeded, tmp_path):
    source = unpacked("openai")

    found = outcomes(source, OPENAI_FILES, f"{seeded.base}/v1", seeded.key, tmp_path / "report.xml")

    assert judged(found, OPENAI_OPT_OUTS) == {}
    assert len(found) == 610
    for opt_out in OPENAI_OPT_OUTS:
        assert any(opt_out.covers(outcome) for outcome in found), opt_out


def test_anthropics_suite_passes(seeded, tmp_path):
    source = unpacked("anthropic")

    found = outcomes(source, ANTHROPIC_FILES, seeded.base, seeded.key, tmp_path / "report.xml")

    assert judged(found, []) == {}
    assert len(found) == 215


def test_anthropics_suite_of_text_completions_passes(seeded, tmp_path):
    # the last release that has them, on an older httpx than the newer ones
    source, packages = unpacked("anthropic", LEGACY), beside(f"anthropic=={LEGACY}", LEGACY_NEEDS)
    files, report = ["tests/api_resources/test_completions.py"], tmp_path / "report.xml"

    found = outcomes(source, files, seeded.base, seeded.key, report, packages=packages)

    assert judged(found, []) == {}
    assert len(found) == 40


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("DELETE", "/models/gpt-4o-mini", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_offered_is_refused_in_openais_shape(seeded, method, path, status, code):
    client = openai.OpenAI(base_url=f"{seeded.base}/v1", api_key=seeded.key, max_retries=0)
    ask: Any = {"GET": client.get, "POST": client.post, "DELETE": client.delete}[method]

    with pytest.raises(openai.APIStatusError) as refused:
        ask(path, cast_to=object)

    assert (refused.value.status_code, refused.value.code) == (status, code)
    assert refused.value.type == "invalid_request_error"
    assert refused.value.request_id is not None


def test_a_judge_sees_every_kind_of_wrong():
    opt_outs = [OptOut("delete", 405, "not offered")]
    found = [
        Outcome("fine", "", skipped=False),
        Outcome("delete_refused", "Error code: 405 - no", skipped=False),
        Outcome("broken", "Error code: 500 - oh", skipped=False),
        Outcome("delete_broken", "Error code: 500 - oh", skipped=False),
        Outcome("delete_passes", "", skipped=False),
        Outcome("left_out", "", skipped=True),
    ]

    wrong = judged(found, opt_outs)

    assert set(wrong) == {"broken", "delete_broken", "delete_passes", "left_out"}
