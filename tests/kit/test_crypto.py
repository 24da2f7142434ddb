"""Sealed boxes open in their place, with their secret, and nowhere else."""

import pytest

from meterway.kit.crypto import Box, SealError, derive, key_hash

OLD, NEW = b"o" * 32, b"n" * 32
PLACE = "channels.credentials:7"


def test_what_was_sealed_opens_in_its_place():
    box = Box([NEW])

    assert box.open(box.seal(b"canary", PLACE), PLACE) == b"canary"


def test_sealed_text_shows_nothing_and_never_repeats():
    box = Box([NEW])

    first, second = box.seal(b"canary", PLACE), box.seal(b"canary", PLACE)

    assert first != second
    assert "canary" not in first


@pytest.mark.parametrize("place", ["channels.credentials:8", "channels.headers:7", ""])
def test_moved_to_another_place_it_does_not_open(place):
    box = Box([NEW])
    sealed = box.seal(b"canary", PLACE)

    with pytest.raises(SealError, match="damaged or was moved"):
        box.open(sealed, place)


def test_no_changed_byte_opens():
    box = Box([NEW])
    sealed = box.seal(b"canary42", PLACE)  # 36 bytes: base64 without spare bits at the end

    for index in range(len(sealed)):
        other = "A" if sealed[index] != "A" else "B"
        with pytest.raises(SealError):
            box.open(sealed[:index] + other + sealed[index + 1 :], PLACE)


@pytest.mark.parametrize("text", ["", ".", "b1", "b1.x.y", "b2.0.0", "\N{SNOWMAN}"])
def test_what_was_never_sealed_is_refused(text):
    with pytest.raises(SealError):
        Box([NEW]).open(text, PLACE)


def test_truncated_text_is_refused():
    box = Box([NEW])
    sealed = box.seal(b"canary", PLACE)

    for length in range(len(sealed)):
        with pytest.raises(SealError):
            box.open(sealed[:length], PLACE)


def test_other_secret_is_told_apart_from_damage():
    sealed = Box([OLD]).seal(b"canary", PLACE)

    with pytest.raises(SealError, match="put back the secret file"):
        Box([NEW]).open(sealed, PLACE)


def test_older_generations_open_and_the_newest_seals():
    sealed = Box([OLD]).seal(b"canary", PLACE)
    both = Box([NEW, OLD])

    resealed = both.reseal(sealed, PLACE)

    assert both.open(sealed, PLACE) == b"canary"
    assert Box([NEW]).open(resealed, PLACE) == b"canary"


@pytest.mark.parametrize("generations", [[], [b"short"]])
def test_weak_secrets_are_refused(generations):
    with pytest.raises(ValueError, match="32 bytes"):
        Box(generations)


def test_representation_shows_no_secret():
    assert repr(Box([NEW])) == "Box(1 generations)"


def test_key_hash_is_hmac_sha256():
    # RFC 4231, test case 2
    assert key_hash(b"Jefe", "what do ya want for nothing?").hex() == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def test_subkeys_differ_by_purpose_and_secret():
    keys = {derive(secret, purpose) for secret in (OLD, NEW) for purpose in ("a", "b")}

    assert len(keys) == 4
