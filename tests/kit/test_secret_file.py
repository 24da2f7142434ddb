"""The secret file: made once, readable by its owner alone, never lost half-written."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from meterway.kit import secret_file
from meterway.kit.secret_file import SecretFileError


def test_new_file_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "data" / "secret"

    secret_file.create(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert secret_file.is_private(path)


def test_making_it_again_keeps_what_is_there(tmp_path):
    first = secret_file.create(tmp_path / "secret")

    second = secret_file.create(tmp_path / "secret")

    assert second == first == secret_file.load(tmp_path / "secret")


def test_makers_at_the_same_moment_agree(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: secret_file.create(tmp_path / "secret"), range(16)))

    assert all(one == made[0] for one in made)
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_rotation_keeps_pepper_and_fingerprint(tmp_path):
    first = secret_file.create(tmp_path / "secret")

    both = first.rotated()

    assert both.pepper == first.pepper
    assert both.fingerprint == first.fingerprint
    assert both.generations[1:] == first.generations
    assert both.settled().generations == both.generations[:1] != first.generations


def test_replacing_keeps_the_file_private(tmp_path):
    path = tmp_path / "secret"
    rotated = secret_file.create(path).rotated()

    secret_file.replace(path, rotated)

    assert secret_file.load(path) == rotated
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"canary",
        b"\xff",
        b'{"pepper":"","generations":[]}',
        b'{"pepper":"Y2FuYXJ5","generations":["Y2FuYXJ5"]}',
    ],
)
def test_what_is_no_secret_file_is_refused_without_showing_it(tmp_path, content):
    path = tmp_path / "secret"
    path.write_bytes(content)

    with pytest.raises(SecretFileError) as caught:
        secret_file.load(path)

    assert "canary" not in caught.value.message
    assert "Y2FuYXJ5" not in caught.value.message


def test_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(SecretFileError, match="meterway init"):
        secret_file.load(tmp_path / "secret")


def test_unwritable_place_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(SecretFileError, match="Cannot write"):
        secret_file.create(tmp_path / "file" / "secret")


def test_others_readers_are_noticed(tmp_path):
    path = tmp_path / "secret"
    secret_file.create(path)
    path.chmod(0o644)

    assert not secret_file.is_private(path)
    assert not secret_file.is_private(tmp_path / "missing")


def test_representation_shows_no_secret(tmp_path):
    assert repr(secret_file.create(tmp_path / "secret")) == "Secrets(1 generations)"
