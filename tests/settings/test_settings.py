"""Settings: flags over environment over file, every mistake named, no secret shown."""

import pytest

from meterway.settings import ChannelTable, Settings, SettingsError, TierTable, load
from meterway.settings.sources import Environment


def _file(tmp_path, text, name="meterway.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_flags_win_over_environment_over_file(tmp_path):
    config = _file(tmp_path, 'port = 1\nhost = "file"\nlog_level = "error"')
    environ = {"METERWAY_PORT": "2", "METERWAY_HOST": "environment"}

    settings = load({"port": 3, "workers": None}, environ=environ, config=config)

    assert (settings.port, settings.host, settings.log_level) == (3, "environment", "error")


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("PORT", "9000", "port"),
        ("DATABASE_URL", "postgresql://h/d", "database_url"),
        ("HTTPS_PROXY", "http://p:1", "https_proxy"),
        ("http_proxy", "http://p:1", "http_proxy"),
        ("NO_PROXY", "a,b", "no_proxy"),
        ("SSL_CERT_FILE", "/x.pem", "ssl_cert_file"),
    ],
)
def test_common_variables_are_heard_and_ours_are_stronger(variable, value, name):
    heard = load({}, environ={variable: value})
    ours = load({}, environ={variable: value, f"METERWAY_{name.upper()}": "1"})

    assert getattr(heard, name) != getattr(load({}, environ={}), name)
    assert getattr(ours, name) != getattr(heard, name)


def test_empty_variable_counts_as_unset():
    assert load({}, environ={"PORT": "", "METERWAY_HOST": ""}).port == 8787


def test_secret_is_read_from_the_file_a_variable_names(tmp_path):
    path = _file(tmp_path, "canary\n", "token")

    settings = load({}, environ={"METERWAY_METRICS_TOKEN_FILE": str(path)})

    assert settings.metrics_token is not None
    assert settings.metrics_token.get_secret_value() == "canary"


def test_secret_itself_is_stronger_than_its_file(tmp_path):
    path = _file(tmp_path, "file", "url")

    settings = load({}, environ={"DATABASE_URL_FILE": str(path), "DATABASE_URL": "sqlite:////x.db"})

    assert settings.database == "sqlite:////x.db"


def test_unreadable_secret_names_its_variable(tmp_path):
    with pytest.raises(SettingsError, match="DATABASE_URL_FILE"):
        load({}, environ={"DATABASE_URL_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize("name", ["meterway.toml", "meterway.yaml", "meterway.yml"])
def test_file_may_be_toml_or_yaml(tmp_path, name):
    text = "port = 5\n" if name.endswith("toml") else "port: 5\n"

    settings = load({}, environ={"METERWAY_CONFIG": str(_file(tmp_path, text, name))})

    assert settings.port == 5


def test_variables_in_the_file_are_expanded_at_any_depth(tmp_path):
    config = _file(
        tmp_path,
        """
        host = "${HOST_NAME:-localhost}"
        admin_email = "$$a@${DOMAIN}"
        [[channels]]
        name = "a"
        provider = "openai"
        api_keys = ["${KEY}"]
        headers = {X-A = "${KEY}"}
        """,
    )

    settings = load({}, environ={"KEY": "canary", "DOMAIN": "b.c"}, config=config)

    assert (settings.host, settings.admin_email) == ("localhost", "$a@b.c")
    assert settings.channels[0].api_keys[0].get_secret_value() == "canary"
    assert settings.channels[0].headers["X-A"].get_secret_value() == "canary"


def test_unset_variable_is_named_with_the_setting(tmp_path):
    config = _file(tmp_path, 'host = "${NOWHERE}"')

    with pytest.raises(SettingsError, match=r"'host' asks for \$\{NOWHERE\}"):
        load({}, environ={}, config=config)


def test_expanded_text_is_not_expanded_again(tmp_path):
    config = _file(tmp_path, 'host = "${A}"')

    assert load({}, environ={"A": "${B}", "B": "x"}, config=config).host == "${B}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prt = 1", "Unknown setting 'prt' in meterway.toml. Did you mean 'port'?"),
        ("port = 'canary'", "Setting 'port' is wrong"),
        ("port = 70000", "less than or equal to 65535"),
        ("workers = 0", "Setting 'workers' is wrong"),
        ("drain = -1", "Setting 'drain' is wrong"),
        ("port = = 1", "not valid TOML"),
        (
            "[[channels]]\nname='a'\nprovider='b'\nkeys='canary'",
            "Unknown setting 'channels.0.keys'",
        ),
        ("[[channels]]\nname='a'", "Setting 'channels.0.provider' is wrong: Field required."),
    ],
)
def test_mistake_in_the_file_is_named_and_its_value_not_shown(tmp_path, text, said):
    with pytest.raises(SettingsError) as caught:
        load({}, environ={}, config=_file(tmp_path, text))

    assert said in caught.value.message
    assert "canary" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "a: [canary"),
        ("a.yaml", "- canary"),
        ("a.json", "{}"),
        ("a.yaml", "a: !!x canary"),
    ],
)
def test_broken_file_is_refused_without_showing_it(tmp_path, name, text):
    with pytest.raises(SettingsError) as caught:
        load({}, environ={}, config=_file(tmp_path, text, name))

    assert "canary" not in caught.value.message


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        load({}, environ={"METERWAY_CONFIG": str(tmp_path / "none.toml")})


def test_empty_yaml_sets_nothing(tmp_path):
    assert load({}, environ={}, config=_file(tmp_path, "", "a.yaml")).port == 8787


def test_wrong_variable_is_named_and_its_value_not_shown():
    with pytest.raises(SettingsError) as caught:
        load({}, environ={"METERWAY_PORT": "canary", "METERWAY_DRAIN": "canary"})

    assert "'port'" in caught.value.message
    assert "'drain'" in caught.value.message
    assert "canary" not in caught.value.message


def test_channels_come_from_the_environment_as_json():
    environ = {"METERWAY_CHANNELS": '[{"name":"a","provider":"ollama"}]'}

    assert load({}, environ=environ).channels == [
        ChannelTable.model_validate({"name": "a", "provider": "ollama"})
    ]


def test_channels_that_are_no_json_are_refused():
    with pytest.raises(SettingsError, match="METERWAY_CHANNELS must be a JSON list"):
        load({}, environ={"METERWAY_CHANNELS": "canary"})


def test_variables_that_are_no_settings_are_listed():
    variables = {"METERWAY_PROT": "1", "METERWAY_PORT": "1", "METERWAY_CONFIG": "x", "OTHER": "1"}

    assert Environment(Settings.model_fields, variables).unknown() == ["METERWAY_PROT"]


def test_secrets_do_not_show_in_the_representation():
    settings = load(
        {"metrics_token": "canary1", "https_proxy": "http://u:canary2@p"},
        environ={"DATABASE_URL": "postgresql://u:canary3@h/d"},
    )

    assert "canary" not in repr(settings)
    assert "canary" not in settings.model_dump_json()


def test_every_setting_is_described():
    undescribed = [
        name
        for model in (Settings, ChannelTable, TierTable)
        for name, field in model.model_fields.items()
        if not field.description
    ]

    assert undescribed == []


def test_database_and_secret_lie_in_the_data_folder(tmp_path):
    settings = load({"data": tmp_path}, environ={})

    assert settings.database == f"sqlite:///{tmp_path}/meterway.db"
    assert settings.secret_path == tmp_path / "secret"


def test_relative_data_folder_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert load({"data": "here"}, environ={}).data == tmp_path / "here"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "http://127.0.0.1:8787"),
        ({"host": "0.0.0.0", "port": 1}, "http://127.0.0.1:1"),
        ({"host": "::", "port": 1}, "http://[::1]:1"),
        ({"host": "::1", "port": 1}, "http://[::1]:1"),
        ({"public_url": "https://ai.example/"}, "https://ai.example"),
    ],
)
def test_clients_are_told_an_address_they_can_reach(given, told):
    assert load(given, environ={}).base_url == told


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        load({}, environ={}).port = 1


def test_a_tiers_limits_are_changed_by_what_the_file_says_and_nothing_else(tmp_path):
    config = _file(tmp_path, "[limits.normal]\nrpm = 12\ntpm = 0\n[limits.admin]\nkey_rpm = 5")
    usual = load({}, environ={}).tiers

    tiers = load({}, environ={}, config=config).tiers

    assert (tiers["normal"].rpm, tiers["normal"].tpm) == (12, 0)
    assert tiers["normal"].concurrency == usual["normal"].concurrency
    assert tiers["VIP"] == usual["VIP"]
    assert (tiers["admin"].key_rpm, tiers["admin"].rpm) == (5, 0)


def test_the_first_administrator_is_not_limited():
    assert set(load({}, environ={}).tiers["admin"].model_dump().values()) == {0}


def test_limits_come_from_the_environment_as_json():
    environ = {"METERWAY_LIMITS": '{"VIP":{"rpm":60}}'}

    assert load({}, environ=environ).tiers["VIP"].rpm == 60
    with pytest.raises(SettingsError, match="METERWAY_LIMITS must be a JSON object"):
        load({}, environ={"METERWAY_LIMITS": "canary"})


@pytest.mark.parametrize(
    "limits", ['{"GOLD":{}}', '{"VIP":{"rpm":-1}}', '{"VIP":{"rmp":1}}', '{"VIP":{"rpm":1.5}}']
)
def test_limits_nobody_knows_or_can_keep_are_refused(limits):
    with pytest.raises(SettingsError, match="limits"):
        load({}, environ={"METERWAY_LIMITS": limits})


def test_private_hosts_to_fetch_from_are_read_at_the_start():
    listed = "images.corp,10.0.0.0/8, [fd00::1]:8080"

    settings = load({}, environ={"METERWAY_FETCH_PRIVATE_HOSTS": listed})

    assert settings.fetch_private_hosts == listed


@pytest.mark.parametrize("listed", ["https://canary.corp/", "10.0.0.1/8", "canary:0", "*"])
def test_a_host_nobody_can_fetch_from_stops_the_start_and_is_not_repeated(listed):
    with pytest.raises(SettingsError, match="'fetch_private_hosts' is wrong") as caught:
        load({}, environ={"METERWAY_FETCH_PRIVATE_HOSTS": listed})

    assert "canary" not in caught.value.message
