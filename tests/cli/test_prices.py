"""Prices from the command line, and who is told of models that have none."""

import pytest

SET = ("price", "set", "gpt-4o", "--input", "2.50", "--output", "10")


def _priced(shell, model="gpt-4o"):
    return shell.json("price", "show", model)


# -- showing and syncing -------------------------------------------------------------------------


def test_a_fresh_installation_is_priced_with_the_source_named(shell):
    rows = shell.json("price", "show")

    [opus] = [row for row in rows if row["model"] == "claude-opus-4-8"]
    assert len(rows) > 200
    assert (opus["input"], opus["cache_write_1h"], opus["output"]) == ("5.00", "10.00", "25.00")
    assert (opus["origin"], opus["multiplier"], opus["services"]["batch"]) == ("seed", "1", "0.5")
    assert "genai-prices" in opus["source"]


def test_syncing_again_changes_nothing(shell):
    assert shell.json("price", "sync") == {"added": []}
    assert "nothing" in shell.run("price", "sync").stdout


def test_upgrading_the_tables_brings_the_prices_too(new_shell):
    new_shell.json("init")

    assert new_shell.json("db", "upgrade")["changed"] is False
    assert new_shell.json("price", "sync") == {"added": []}


def test_prices_are_shown_as_a_table_too(shell):
    shown = shell.run("price", "show", "gpt-4o").stdout

    assert "MODEL" in shown
    assert "2.50" in shown


def test_any_name_of_a_model_shows_the_price_it_has(shell):
    assert _priced(shell, "openai/gpt-4o") == _priced(shell, "gpt-4o")


def test_a_model_without_a_price_says_how_to_set_one(shell):
    assert "meterway price set nope" in shell.run("price", "show", "nope", code=3).stderr


# -- setting -------------------------------------------------------------------------------------


def test_an_operators_price_takes_effect_and_the_old_one_stays_on_record(shell):
    made = shell.json(*SET, "--cache-read", "0.3", "--source", "contract")

    before, after = _priced(shell)
    assert (before["origin"], after["origin"]) == ("seed", "operator")
    assert after == made
    assert (after["input"], after["cache_read"], after["cache_write_5m"]) == ("2.50", "0.30", None)
    assert after["source"] == "contract"


def test_tiers_services_and_prices_of_a_call_can_be_set(shell):
    made = shell.json(
        *SET,
        "--above",
        "200000:input=5,output=22.50,cache-read=1",
        "--above",
        "500000:input=6,output=30",
        "--service",
        "flex=0.5",
        "--request",
        "0.005",
    )

    assert [tier["above"] for tier in made["tiers"]] == [200_000, 500_000]
    assert made["tiers"][0]["rates"] == {"input": "5.00", "output": "22.50", "cache_read": "1.00"}
    assert (made["services"], made["units"]) == ({"flex": "0.5"}, {"request": "0.005"})


def test_a_model_can_be_made_free(shell):
    assert shell.json("price", "set", "gpt-4o", "--free")["input"] == "0.00"


def test_a_price_to_come_leaves_todays(shell):
    shell.json(*SET, "--effective", "2099-01-01T00:00:00Z")

    [now] = [row for row in shell.json("price", "show") if row["model"] == "gpt-4o"]
    assert now["origin"] == "seed"
    assert _priced(shell)[-1]["effective_at"] == "2099-01-01T00:00:00.000Z"
    assert "another moment" in shell.run(*SET, "--effective", "2099-01-01T00:00:00Z", code=4).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("gpt-4o",), 2, "--free"),
        (("gpt-4o", "--free", "--input", "1"), 2, "--free"),
        (("gpt-4o", "--free", "--service", "flex=1"), 2, "--free"),
        (("gpt-4o", "--input", "1"), 2, "needs output"),
        (("gpt-4o", "--input=-1", "--output", "1"), 2, "without a sign"),
        (("gpt-4o", "--input", "NaN", "--output", "1"), 2, "decimal"),
        (("gpt-4o", "--input", "1e9", "--output", "1"), 2, "decimal"),
        (("gpt-4o", "--input", "0.0000000001", "--output", "1"), 2, "decimal"),
        (("gpt-4o", "--input", "9" * 15, "--output", "1"), 2, "too large"),
        (("gpt-4o", "--input", "100001", "--output", "1"), 2, "100000"),
        (("gpt-4o", "--input", "1", "--output", "1", "--above", "x:input=1"), 2, "200000:"),
        (("gpt-4o", "--input", "1", "--output", "1", "--above", "5:inp=1,output=2"), 2, "200000:"),
        (("gpt-4o", "--input", "1", "--output", "1", "--above", "5:input=1"), 2, "needs output"),
        (("gpt-4o", "--input", "1", "--output", "1", "--above", "0:input=1,output=1"), 2, "ascend"),
        (("gpt-4o", "--input", "1", "--output", "1", "--service", "flex"), 2, "1.25"),
        (("gpt-4o", "--input", "1", "--output", "1", "--effective", "2020-01-01"), 2, "past"),
        (("nope", "--input", "1", "--output", "1"), 3, "meterway price show"),
    ],
)
def test_what_cannot_be_a_price_is_refused_with_what_can(shell, arguments, code, words):
    assert words in shell.run("price", "set", *arguments, code=code).stderr


# -- multipliers ---------------------------------------------------------------------------------


def test_a_multiplier_is_kept_exactly_and_shown_with_its_model(shell):
    made = shell.json("price", "multiplier", "model", "GPT-4O", "1.333333")

    assert made == {"kind": "model", "name": "gpt-4o", "multiplier": "1.333333"}
    assert _priced(shell)[0]["multiplier"] == "1.333333"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("tier", "VIP", "-1"), 2, ""),
        (("tier", "VIP", "nan"), 2, "1.25"),
        (("tier", "VIP", "1.0000001"), 2, "1.25"),
        (("tier", "VIP", "1001"), 2, "from 0 to 1000"),
        (("tier", "gold", "1"), 2, "normal, VIP, PREMIUM"),
        (("model", "nope", "1"), 3, "meterway price show"),
        (("colour", "x", "1"), 2, "model"),
    ],
)
def test_what_cannot_be_a_multiplier_is_refused(shell, arguments, code, words):
    assert words in shell.run("price", "multiplier", *arguments, code=code).stderr


# -- what has no price ---------------------------------------------------------------------------

CHANNEL = ("channel", "add", "--provider", "openai", "--api-key", "sk-x", "--name", "main")


def test_a_channel_with_models_that_have_no_price_says_so_when_it_is_added(shell):
    result = shell.run(*CHANNEL, "--models", "gpt-4o,fast=gpt-4o-mini")

    assert "fast has no price" in result.stderr
    assert "meterway price set fast" in result.stderr
    assert "gpt-4o has" not in result.stderr


def test_the_doctor_names_them_until_they_have_one(shell):
    shell.json(*CHANNEL, "--models", "fast=gpt-4o-mini")

    before = shell.run("doctor").stdout
    shell.run("price", "set", "fast", "--input", "1", "--output", "2")
    after = shell.run("doctor").stdout

    assert "of 'main', fast has no price" in before
    assert "meterway price set fast" in before
    assert "no price" not in after


def test_an_engine_of_ones_own_needs_no_price(shell):
    made = shell.json("channel", "add", "--provider", "ollama", "--models", "llama3:8b")

    assert made["unpriced"] == []
