"""Users, keys, channels, settings and the doctor from the command line."""

import json

import pytest

from meterway.cli import _COMMANDS, main
from meterway.cli.moments import read, shown

CHANNEL = ("channel", "add", "--provider", "openai", "--name", "main")


def _secret_in_files(shell, secret):
    return [p.name for p in shell.data.iterdir() if secret.encode() in p.read_bytes()]


def test_user_is_made_with_a_password_shown_once(shell):
    made = shell.json("user", "create", "--email", "Ann@b.c", "--postpaid")

    assert (made["email"], len(made["password"])) == ("ann@b.c", 20)
    [_, ann] = shell.json("user", "list")
    assert (ann["email"], ann["postpaid"], ann["is_admin"]) == ("ann@b.c", True, False)
    assert _secret_in_files(shell, made["password"]) == []


def test_password_of_ones_own_is_not_shown(shell):
    result = shell.run(
        "user", "create", "--email", "a@b", "--password", "-", stdin="canary-password\n"
    )

    assert "canary" not in result.output


def test_user_that_is_there_is_a_conflict(shell):
    result = shell.run("user", "create", "--email", "ADMIN@localhost", code=4)

    assert "already" in result.stderr


def test_user_can_be_shut_out_and_let_in(shell):
    shell.run("user", "disable", "admin@localhost")
    out = shell.json("user", "list")[0]["disabled"]
    shell.run("user", "enable", "admin@localhost")

    assert (out, shell.json("user", "list")[0]["disabled"]) == (True, False)
    shell.run("user", "disable", "nobody@localhost", code=3)


def test_key_is_shown_once_and_masked_afterwards(shell):
    made = shell.json("key", "create", "--user", "admin@localhost", "--remark", "ci")

    [_, listed] = shell.json("key", "list", "--user", "admin@localhost")
    assert listed["key"] == f"{made['key'][:5]}***{made['key'][-4:]}"
    assert (listed["id"], listed["remark"], listed["permissions"]) == (made["id"], "ci", [])
    assert _secret_in_files(shell, made["key"][5:-4]) == []


def test_key_takes_models_families_and_an_end(shell):
    shell.run(
        "key", "create", "--user", "admin@localhost", "--permissions", "gpt-4o, claude-3-opus",
        "--expires", "2100-01-01T00:00:00Z", "--default-model", "gpt-4o", "--admin",
    )  # fmt: skip

    [_, listed] = shell.json("key", "list")
    assert listed["permissions"] == ["claude-3-opus", "gpt-4o"]
    assert listed["expires_at"] == "2100-01-01T00:00:00.000Z"
    assert (listed["default_model"], listed["is_admin"]) == ("gpt-4o", True)


def test_user_is_made_and_set_a_member_of_a_tier(shell):
    shell.run(
        "user", "create", "--email", "a@b", "--tier", "vip", "--until", "2100-01-01T00:00:00Z"
    )
    [_, made] = shell.json("user", "list")

    said = shell.json("user", "set-tier", "a@b", "premium")

    [_, changed] = shell.json("user", "list")
    assert (made["tier"], made["tier_expires_at"]) == ("VIP", "2100-01-01T00:00:00.000Z")
    assert (changed["tier"], changed["tier_expires_at"]) == ("PREMIUM", None)
    assert said == {"email": "a@b", "tier": "PREMIUM", "tier_expires_at": None}


def test_zero_retention_is_set_and_lifted(shell):
    def listed(what):
        return shell.json(what, "list")[-1]["zero_retention"]

    shell.json("user", "create", "--email", "a@b", "--zero-retention")
    number = shell.json("key", "create", "--user", "a@b", "--zero-retention")["id"]
    assert (listed("user"), listed("key")) == (True, True)

    said = shell.json("user", "set-retention", "a@b", "usual")
    shell.json("key", "update", number, "--retention", "usual")
    assert said == {"email": "a@b", "zero_retention": False}
    assert (listed("user"), listed("key")) == (False, False)

    shell.json("user", "set-retention", "a@b", "zero")
    shell.json("key", "update", number, "--retention", "zero")
    assert (listed("user"), listed("key")) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("admin@localhost", "gold"), 2),
        (("admin@localhost", "normal", "--until", "30d"), 2),
        (("admin@localhost", "VIP", "--until", "soon"), 2),
        (("nobody@localhost", "VIP"), 3),
    ],
)
def test_tier_that_cannot_be_set_is_refused(shell, arguments, code):
    shell.run("user", "set-tier", *arguments, code=code)

    assert shell.json("user", "list")[0]["tier"] == "normal"


def test_key_has_a_bound_in_dollars_that_can_be_lifted(shell):
    made = shell.json("key", "create", "--user", "admin@localhost", "--max-fee", "12.5")
    [_, before] = shell.json("key", "list")

    shell.run("key", "update", made["id"], "--max-fee", "0")

    [_, after] = shell.json("key", "list")
    assert (before["max_fee"], before["used_fee"], before["used_times"]) == ("12.50", "0.00", 0)
    assert after["max_fee"] == "0.00"


def test_key_may_name_a_model_only_a_channel_has(shell):
    shell.run(*CHANNEL, "--api-key", "k", "--models", "house-model=gpt-4o")

    shell.run("key", "create", "--user", "admin@localhost", "--permissions", "house-model")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--user", "nobody@x"), 3),
        (("--user", "admin@localhost", "--permissions", "gpt-4x"), 2),
        (("--user", "admin@localhost", "--expires", "soon"), 2),
        (("--user", "admin@localhost", "--max-fee", "-1"), 2),
        (("--user", "admin@localhost", "--max-fee", "NaN"), 2),
        (("--user", "admin@localhost", "--max-fee", "1e3"), 2),
        (("--user", "admin@localhost", "--remark", "x" * 256), 2),
        (("--user", "admin@localhost", "--expires", "99999999999999d"), 2),
        ((), 2),
    ],
)
def test_key_that_cannot_be_made_is_refused(shell, arguments, code):
    shell.run("key", "create", *arguments, code=code)

    assert len(shell.json("key", "list")) == 1


@pytest.mark.parametrize("form", ["number", "text", "stdin"])
def test_key_is_revoked_by_number_or_text(shell, form):
    key = shell.first["key"]
    name = {"number": "1", "text": key, "stdin": "-"}[form]

    result = shell.run("key", "revoke", name, stdin=key)

    assert key not in result.output
    [listed] = shell.json("key", "list")
    assert listed["disabled"] is True
    assert listed["deleted_at"] is not None
    shell.run("key", "update", "1", "--remark", "back", code=3)


def test_key_is_changed_where_that_is_said_and_else_stays(shell):
    options = ("--remark", "ci", "--permissions", "gpt-4o", "--expires", "30d")
    made = shell.json("key", "create", "--user", "admin@localhost", *options)

    shell.run("key", "update", made["id"], "--permissions", "claude-opus", "--expires", "never")

    [_, listed] = shell.json("key", "list")
    assert (listed["remark"], listed["permissions"]) == ("ci", ["claude-opus"])
    assert listed["expires_at"] is None
    shell.run("key", "update", made["key"], "--permissions", "all", "--default-model", "gpt-4o")
    [_, again] = shell.json("key", "list")
    assert (again["permissions"], again["default_model"], again["remark"]) == ([], "gpt-4o", "ci")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [((), 2), (("--permissions", "gpt-9000"), 2), (("--expires", "soon"), 2)],
)
def test_change_of_a_key_that_says_nothing_good_is_refused(shell, arguments, code):
    shell.run("key", "update", "1", *arguments, code=code)


def test_unknown_key_is_not_found_and_not_repeated(shell):
    result = shell.run("key", "revoke", "sk-canary", code=3)

    assert "canary" not in result.output


def test_channel_keeps_its_secrets_to_itself(shell):
    shell.environment["THE_KEY"] = "canary-env"
    outputs = [
        shell.run(
            *CHANNEL, "--api-key", "canary-arg", "--api-key", "-", "--api-key-env", "THE_KEY",
            "--header", "X-Team: canary-header", "--models", "a=b,c", "--prefix", "TA",
            "--priority", "2", "--weight", "3", stdin="canary-stdin\n",
        )
    ]  # fmt: skip
    outputs += [shell.run("channel", "list"), shell.run("channel", "list", "--json")]
    outputs += [shell.run("config", "show"), shell.run("doctor"), shell.run("secret", "rotate")]

    assert all("canary" not in result.output for result in outputs)
    assert _secret_in_files(shell, "canary") == []
    [listed] = shell.json("channel", "list")
    assert (listed["keys"], listed["headers"]) == (3, ["X-Team"])
    assert (listed["models"], listed["prefix"]) == ({"a": "b", "c": "c"}, "TA")
    assert (listed["priority"], listed["weight"], listed["origin"]) == (2, 3, "cli")


def test_channel_is_disabled_enabled_and_removed(shell):
    shell.run(*CHANNEL, "--api-key", "k")

    shell.run("channel", "disable", "main")
    disabled = shell.json("channel", "list")[0]["enabled"]
    shell.run("channel", "enable", "main")
    enabled = shell.json("channel", "list")[0]["enabled"]
    shell.run("channel", "remove", "main")

    assert (disabled, enabled) == (False, True)
    assert shell.json("channel", "list") == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--provider", "nope"), 2, "anthropic"),
        (("--provider", "openai"), 2, "--api-key"),
        (("--provider", "openai-compatible", "--api-key", "k"), 2, "--base-url"),
        (("--provider", "openai", "--api-key", "k", "--base-url", "x"), 2, "https://"),
        (("--provider", "openai", "--api-key-env", "UNSET"), 2, "UNSET"),
        (("--provider", "openai", "--api-key", "-"), 2, "standard input"),
        (("--provider", "openai", "--api-key", "k", "--header", "canary"), 2, "Name: value"),
        (("--provider", "openai", "--api-key", "k", "--name", "main"), 4, "already"),
    ],
)
def test_channel_that_cannot_be_added_says_why(shell, arguments, code, said):
    shell.run(*CHANNEL, "--api-key", "k")

    result = shell.run("channel", "add", *arguments, code=code)

    assert said in result.stderr
    assert len(shell.json("channel", "list")) == 1


@pytest.mark.parametrize("command", ["remove", "enable", "disable", "test"])
def test_unknown_channel_is_not_found(shell, command):
    shell.run("channel", command, "nope", code=3)


def test_rotation_keeps_channels_and_keys_working(shell):
    shell.run(*CHANNEL, "--api-key", "canary")
    before = (shell.data / "secret").read_bytes()

    assert shell.json("secret", "rotate") == {"resealed": 1}

    after = json.loads((shell.data / "secret").read_bytes())
    assert len(after["generations"]) == 1
    assert after["generations"] != json.loads(before)["generations"]
    assert after["pepper"] == json.loads(before)["pepper"]
    assert shell.json("channel", "list")[0]["keys"] == 1
    shell.run("key", "revoke", shell.first["key"])


def test_old_secret_opens_nothing_after_a_rotation(shell):
    shell.run(*CHANNEL, "--api-key", "canary")
    before = (shell.data / "secret").read_bytes()
    shell.run("secret", "rotate")
    (shell.data / "secret").write_bytes(before)

    result = shell.run("channel", "list", code=5)

    assert "put back the secret file" in result.stderr


def test_settings_are_shown_without_their_secrets(shell):
    shell.environment |= {
        "METERWAY_METRICS_TOKEN": "canary1",
        "HTTPS_PROXY": "http://u:canary2@p",
        "DATABASE_URL": "postgresql://u:canary3@h/d",
    }

    result = shell.run("config", "show", "--json")

    shown_settings = json.loads(result.stdout)
    assert "canary" not in result.output
    assert shown_settings["database_url"] == "postgresql://***@h/d"
    assert shown_settings["metrics_token"] == "***"
    assert shown_settings["port"] == 8787


def test_check_names_variables_that_are_no_settings(new_shell):
    new_shell.environment["METERWAY_PROT"] = "1"

    assert new_shell.json("config", "check") == {
        "ok": True,
        "unknown_variables": ["METERWAY_PROT"],
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "Did you mean 'port'?"),
        ("[[channels]]\nname='a'\nprovider='nope'", "There is no provider 'nope'"),
        ("[[channels]]\nname='a'\nprovider='openai'", "needs a key"),
        ("database_url = 'mysql://canary'", "database URL"),
    ],
)
def test_check_refuses_a_bad_file(new_shell, tmp_path, text, said):
    path = tmp_path / "meterway.toml"
    path.write_text(text)

    result = new_shell.run("config", "check", "--config", path, code=2)

    assert said in result.stderr
    assert "canary" not in result.output


def test_upgrade_is_done_once(new_shell):
    first, second = new_shell.json("db", "upgrade"), new_shell.json("db", "upgrade")

    assert (first, second) == (
        {"version": "0006", "changed": True},
        {"version": "0006", "changed": False},
    )


def _states(shell, code):
    result = shell.run("doctor", "--json", code=code)
    return {finding["subject"]: finding["state"] for finding in json.loads(result.stdout)}


def test_doctor_finds_nothing_wrong_with_a_new_installation(shell):
    states = _states(shell, 0)

    assert set(states.values()) == {"ok", "warning"}
    assert states["channels"] == "warning"


def test_doctor_before_the_first_start_says_how_to_begin(new_shell):
    assert _states(new_shell, 1) == {"setup": "wrong"}
    assert not new_shell.data.exists()


def test_doctor_sees_a_readable_secret(shell):
    (shell.data / "secret").chmod(0o644)

    assert _states(shell, 0)["secret"] == "warning"


def test_doctor_sees_a_lost_secret_and_a_broken_database(shell):
    (shell.data / "secret").unlink()
    lost = _states(shell, 1)
    (shell.data / "meterway.db").write_bytes(b"no database" * 100)
    broken = _states(shell, 1)

    assert lost["secret"] == "wrong"
    assert broken["database"] == "wrong"


def test_doctor_sees_that_every_channel_is_disabled(shell):
    shell.run(*CHANNEL, "--api-key", "k")
    good = _states(shell, 0)["channels"]
    shell.run("channel", "disable", "main")

    assert (good, _states(shell, 0)["channels"]) == ("ok", "warning")


def test_api_description_is_printed(new_shell):
    assert new_shell.json("openapi")["openapi"].startswith("3.")


@pytest.mark.parametrize("name", list(_COMMANDS))
def test_every_command_loads_and_explains_itself(new_shell, name):
    assert "Usage:" in new_shell.run(name, "--help").stdout


def test_unknown_command_is_wrong_usage(new_shell):
    new_shell.run("nope", code=2)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30d", 1000 + 30 * 86_400),
        ("12h", 1000 + 12 * 3600),
        ("1970-01-02T00:00:00Z", 86_400),
        ("1970-01-01T08:00:00", 0),
        ("1970-01-01 09:00:00", 3600),
    ],
)
def test_moments_are_read(text, seconds):
    assert read(text, 1000.0) == seconds


def test_moments_are_shown_in_utc_with_milliseconds():
    assert (shown(0.25), shown(None)) == ("1970-01-01T00:00:00.250Z", None)


def test_commands_are_listed_without_being_imported(new_shell):
    listed = new_shell.run("--help").stdout

    assert all(name in listed for name in _COMMANDS)
    assert main.name == "main"
