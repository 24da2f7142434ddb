"""The guard as a whole: what is connected to, what is followed, and where it stops."""

import asyncio
import gzip
import ipaddress
import ssl

import pytest

from meterway.kit.fetching import Fetched, Fetcher, FetchError, Limits, PrivateHosts
from meterway.kit.fetching.dialing import SystemConnector, SystemResolver
from tests.fakes.internet import PUBLIC, CountingRoom, Detour, ScriptedResolver
from tests.fakes.upstream_server import (
    HEAD_CHUNKED,
    LAST_CHUNK,
    End,
    UpstreamServer,
    chunk,
    head,
    reply,
)

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100
PICTURES = Limits(types=("image/png", "image/gif"))
URL = "http://pictures.example/a.png?x=1"
NOT_PUBLIC = (
    "The host of this URL has no public address. Use a URL that anybody on the internet can fetch."
    " You can also send the content itself, in base64."
)


def picture(body: bytes = PNG, *headers: tuple[bytes, bytes]) -> bytes:
    return reply(body, headers=((b"content-type", b"image/png"), *headers))


def redirect(location: str, status: int = 302) -> bytes:
    return reply(b"", status=status, headers=((b"location", location.encode()),))


class World:
    """A fetcher whose names and roads are scripted."""

    def __init__(self, server, names=None, private="", **roads) -> None:
        self.resolver = ScriptedResolver(names or {"pictures.example": PUBLIC})
        self.roads = Detour(server.port, **roads)
        self.room = CountingRoom()
        self.fetcher = Fetcher(
            private_hosts=PrivateHosts(private), resolver=self.resolver, connector=self.roads
        )

    async def fetch(self, url: str = URL, limits: Limits = PICTURES) -> Fetched:
        return await self.fetcher.fetch(url, limits=limits, room=self.room)

    async def refused(self, url: str = URL, limits: Limits = PICTURES) -> str:
        with pytest.raises(FetchError) as caught:
            await self.fetch(url, limits)
        assert self.room.held == 0
        return caught.value.message


async def test_a_picture_is_fetched(server):
    world = World(server)
    server.script(picture())

    found = await world.fetch()

    assert found == Fetched("image/png", PNG)
    assert world.roads.asked == [(PUBLIC, 80, None)]
    await server.all_closed()


async def test_the_request_says_little(server):
    server.script(picture())

    await World(server).fetch()

    assert server.requests[0].raw == (
        b"GET /a.png?x=1 HTTP/1.1\r\n"
        b"host: pictures.example\r\n"
        b"accept: image/png, image/gif\r\n"
        b"accept-encoding: identity\r\n"
        b"user-agent: meterway\r\n"
        b"connection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    "steps",
    [
        (HEAD_CHUNKED, chunk(PNG[:9]), chunk(PNG[9:]), LAST_CHUNK),
        (head(200), PNG, End.CLOSE),
        (head(103, (b"link", b"</x>")), picture()),
        (picture()[:40], picture()[40:]),
    ],
    ids=["chunked", "until the end of the connection", "after an interim head", "in pieces"],
)
async def test_a_body_comes_in_any_framing(server, steps):
    server.script(*steps)

    assert (await World(server).fetch()).body == PNG


# -- where connections go ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1",
        "fd00:ec2::254", "fe80::1", "fe80::1%1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1",
        "2002:a00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        f"{PUBLIC} 10.0.0.1", f"10.0.0.1 {PUBLIC}", "",
    ],
)  # fmt: skip
async def test_a_name_with_a_foot_inside_is_never_connected_to(server, answer):
    world = World(server, {"pictures.example": answer})

    assert await world.refused() == NOT_PUBLIC
    assert world.roads.asked == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1]", "10.0.0.1:443",
     "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "0.0.0.0", "[::]"],
)  # fmt: skip
async def test_an_address_of_the_inside_is_never_connected_to(server, host):
    world = World(server)

    assert await world.refused(f"http://{host}/") == NOT_PUBLIC
    assert (world.roads.asked, world.resolver.asked) == ([], [])


async def test_a_name_that_leads_nowhere_sounds_like_one_that_leads_inside(server):
    assert await World(server).refused("http://nowhere.example/") == NOT_PUBLIC


async def test_what_was_checked_is_connected_to_whatever_the_name_says_next(server):
    world = World(server, {"rebinding.example": [PUBLIC, "127.0.0.1"]})
    server.script(picture())

    await world.fetch("http://rebinding.example/")

    assert world.resolver.asked == ["rebinding.example"]
    assert world.roads.asked == [(PUBLIC, 80, None)]


async def test_a_name_is_checked_again_when_a_redirect_leads_to_it_again(server):
    world = World(server, {"rebinding.example": [PUBLIC, "127.0.0.1"]})
    server.script(redirect("/again"))

    assert await world.refused("http://rebinding.example/") == NOT_PUBLIC
    assert world.roads.asked == [(PUBLIC, 80, None)]


async def test_another_address_of_the_name_is_tried(server):
    other = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
    world = World(server, {"pictures.example": f"{other} {PUBLIC}"}, dead=[other])
    server.script(picture())

    await world.fetch()

    assert [address for address, _, _ in world.roads.asked] == [other, PUBLIC]


async def test_a_name_with_many_dead_addresses_is_given_up(server):
    dead = [f"93.184.215.{number}" for number in range(1, 20)]
    world = World(server, {"pictures.example": " ".join(dead)}, dead=dead)

    assert "cannot be reached" in await world.refused()
    assert len(world.roads.asked) == 4


@pytest.mark.parametrize("port", [22, 25, 6379, 8080, 11434, 65535])
async def test_other_ports_are_not_reached_nor_looked_up(server, port):
    world = World(server)

    assert "another port" in await world.refused(f"http://pictures.example:{port}/")
    assert (world.roads.asked, world.resolver.asked) == ([], [])


async def test_a_listed_host_is_reached_at_its_port(server):
    world = World(server, {"images.corp": "10.0.0.1"}, private="images.corp:8080")
    server.script(picture())

    found = await world.fetch("http://images.corp:8080/a.png")

    assert found.body == PNG
    assert world.roads.asked == [("10.0.0.1", 8080, None)]
    assert server.requests[0].header(b"host") == b"images.corp:8080"


async def test_the_port_of_a_listed_host_is_no_public_ones(server):
    world = World(server, private="images.corp:8080")

    assert "another port" in await world.refused("http://pictures.example:8080/")
    assert world.roads.asked == []


async def test_a_redirect_may_lead_to_a_listed_host(server):
    names = {"pictures.example": PUBLIC, "images.corp": "10.0.0.1"}
    world = World(server, names, private="10.0.0.0/24")
    server.script(redirect("http://images.corp/a.png"))
    server.script(picture())

    await world.fetch()

    assert [address for address, _, _ in world.roads.asked] == [PUBLIC, "10.0.0.1"]


# -- redirects ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(server, status):
    world = World(server, {"pictures.example": PUBLIC, "other.example": "8.8.8.8"})
    server.script(redirect("http://other.example/b.png", status))
    server.script(picture())

    assert (await world.fetch()).body == PNG
    assert [address for address, _, _ in world.roads.asked] == [PUBLIC, "8.8.8.8"]
    assert server.requests[1].header(b"host") == b"other.example"
    await server.all_closed()


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/",
     "//10.0.0.1/", "http://inside.example/", "http://[::ffff:a9fe:a9fe]/"],
)  # fmt: skip
async def test_a_redirect_inside_is_not_followed(server, location):
    world = World(server, {"pictures.example": PUBLIC, "inside.example": "10.0.0.1"})
    server.script(redirect(location))

    assert await world.refused() == NOT_PUBLIC
    assert world.roads.asked == [(PUBLIC, 80, None)]


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://other.example/", "http://u:p@other.example/", "http://x:22/",
     "data:image/png;base64,AAAA", "http://127.1/"],
)  # fmt: skip
async def test_a_redirect_to_what_is_not_fetched_is_not_followed(server, location):
    world = World(server)
    server.script(redirect(location))

    await world.refused()

    assert len(world.roads.asked) == 1


async def test_three_redirects_are_followed_and_no_loop(server):
    world = World(server)
    server.always(redirect("/round"))

    assert "more than 3 times" in await world.refused()
    assert len(server.requests) == 4


async def test_the_body_of_a_redirect_is_not_kept(server):
    world = World(server)
    server.script(reply(b"moved", status=301, headers=((b"location", b"/b"),)))
    server.script(picture())

    await world.fetch()

    assert world.room.held == len(PNG)


@pytest.mark.parametrize("status", [200, 204, 300, 304, 400, 401, 403, 404, 500])
async def test_only_a_200_is_content(server, status):
    server.script(reply(b"" if status in {204, 304} else b"<html>", status=status))

    message = await World(server).refused()

    expected = "is none of" if status == 200 else f"status {status}"
    assert expected in message


# -- TLS ---------------------------------------------------------------------------------------


class TestTls:
    @pytest.fixture
    async def secure(self, trust):
        async with UpstreamServer(tls=trust.serve("pictures.example")) as upstream:
            yield upstream

    def world(self, secure, trust, name="pictures.example") -> World:
        connector = SystemConnector(trust.ca_file)
        return World(secure, {name: PUBLIC}, connector=connector)

    async def test_the_certificate_is_for_the_name_not_the_address(self, secure, trust):
        world = self.world(secure, trust)
        secure.script(picture())

        found = await world.fetch("https://pictures.example/a.png")

        assert found.body == PNG
        assert world.roads.asked == [(PUBLIC, 443, "pictures.example")]
        await secure.all_closed()

    async def test_a_certificate_for_another_name_is_refused(self, secure, trust):
        world = self.world(secure, trust, "other.example")

        assert "no certificate" in await world.refused("https://other.example/")
        assert secure.requests == []

    async def test_a_certificate_of_an_unknown_authority_is_refused(self, secure):
        world = World(secure)

        assert "no certificate" in await world.refused("https://pictures.example/")
        assert secure.requests == []

    async def test_https_is_not_redirected_to_http(self, secure, trust):
        world = self.world(secure, trust)
        secure.script(redirect("http://pictures.example/a.png"))

        assert "from https to http" in await world.refused("https://pictures.example/")
        assert len(world.roads.asked) == 1

    async def test_a_handshake_that_does_not_come_is_given_up(self, server, trust):
        world = self.world(server, trust)  # it does not speak TLS, and waits for a request
        limits = Limits(types=("image/png",), connect=0.05)

        assert "cannot be reached" in await world.refused("https://pictures.example/", limits)
        await server.all_closed()


# -- bounds ------------------------------------------------------------------------------------

SMALL = Limits(types=("image/png",), size=len(PNG))
SHORT = Limits(types=("image/png",), seconds=0.05)


async def test_a_body_of_exactly_the_limit_is_fetched(server):
    server.script(picture())

    assert (await World(server).fetch(limits=SMALL)).body == PNG


async def test_a_large_length_is_refused_before_the_body_is_read(server):
    server.script(head(200, (b"content-length", b"%d" % (len(PNG) + 1))), asyncio.Event())

    assert "larger than the 108 bytes" in await World(server).refused(limits=SMALL)
    await server.all_closed()


@pytest.mark.parametrize("length", [b"9" * 18, b"99999999999999999999999", b"-1", b"1e3", b"0x10"])
async def test_an_absurd_length_is_refused(server, length):
    server.script(head(200, (b"content-length", length)), asyncio.Event())

    await World(server).refused(limits=SMALL)

    await server.all_closed()


@pytest.mark.parametrize("top", [HEAD_CHUNKED, head(200)], ids=["chunked", "endless"])
async def test_a_body_without_end_is_cut_at_the_limit(server, top):
    piece = PNG * 600
    server.script(top, *[chunk(piece) if top is HEAD_CHUNKED else piece] * 10, asyncio.Event())
    limits = Limits(types=("image/png",), size=200_000)
    world = World(server)

    assert "larger than" in await world.refused(limits=limits)
    assert world.room.most <= limits.size
    await server.all_closed()


async def test_a_body_of_many_tiny_chunks_is_bounded_by_what_came(server):
    server.script(HEAD_CHUNKED, chunk(PNG[:1]) * 30_000, asyncio.Event())
    limits = Limits(types=("image/png",), size=40_000)

    assert "larger than" in await World(server).refused(limits=limits)
    await server.all_closed()


@pytest.mark.parametrize(
    "steps",
    [
        (picture()[:-1], End.CLOSE),
        (picture()[:-1], End.RESET),
        (HEAD_CHUNKED, chunk(PNG), End.CLOSE),
        (HEAD_CHUNKED, b"64\r\n" + PNG[:4], End.CLOSE),
    ],
    ids=["short", "reset", "no last chunk", "cut chunk"],
)
async def test_less_than_was_promised_is_refused(server, steps):
    server.script(*steps)

    assert "broke off" in await World(server).refused()


async def test_more_than_was_promised_is_refused(server):
    server.script(picture() + b"more")

    await World(server).refused()


@pytest.mark.parametrize(
    "bytes_",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nx",
        b"HTTP/9.9 200 OK\r\n\r\n",
        head(101, (b"upgrade", b"x"), (b"connection", b"upgrade")),
        head(200, (b"content-length", b"4"), (b"transfer-encoding", b"chunked")) + b"0\r\n\r\n",
        head(200, (b"content-length", b"4"), (b"content-length", b"5")) + b"12345",
        head(200, *[(b"x-%d" % number, b"y") for number in range(129)]),
        head(200, (b"x", b"y" * 70_000)),
        head(103) * 5000,
        HEAD_CHUNKED + b"zz\r\n",
    ],
    ids=["nothing", "ssh", "cut head", "version", "upgrade", "two framings", "two lengths",
         "headers", "head", "interim heads", "chunk"],
)  # fmt: skip
async def test_what_is_not_proper_http_is_refused(server, bytes_):
    server.script(bytes_, End.CLOSE)

    assert "does not answer in proper HTTP" in await World(server).refused()


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"x"])
async def test_a_bomb_is_not_unpacked(server, coding):
    bomb = gzip.compress(bytes(1_000_000))
    server.script(picture(bomb, (b"content-encoding", coding)))

    assert "compresses" in await World(server).refused()


async def test_a_body_that_says_it_is_plain_is_fetched(server):
    server.script(picture(PNG, (b"content-encoding", b"Identity")))

    assert (await World(server).fetch()).body == PNG


@pytest.mark.parametrize(
    "steps",
    [(), (HEAD_CHUNKED,), (HEAD_CHUNKED, chunk(PNG)), (b"HTTP/1.1 200 OK\r\n",)],
    ids=["no answer", "no body", "no end", "no head"],
)
async def test_a_slow_server_is_given_up(server, steps):
    server.script(*steps, asyncio.Event())

    assert "within 0.05 seconds" in await World(server).refused(limits=SHORT)
    await server.all_closed()


async def test_the_time_is_one_for_all_redirects(server):
    server.script(redirect("/b"))
    server.script(asyncio.Event())

    assert "within 0.05 seconds" in await World(server).refused(limits=SHORT)
    assert len(server.requests) == 2


async def test_a_lookup_without_an_answer_is_given_up(server):
    world = World(server)

    class Silent(ScriptedResolver):
        async def resolve(self, name):
            await asyncio.Event().wait()
            raise AssertionError("nobody wakes it")

    world.fetcher = Fetcher(resolver=Silent({}), connector=world.roads)

    assert "within 0.05 seconds" in await world.refused(limits=SHORT)


async def test_who_leaves_takes_the_connection_along(server):
    world = World(server)
    server.script(HEAD_CHUNKED, chunk(PNG), asyncio.Event())
    fetching = asyncio.ensure_future(world.fetch())
    await server.received()

    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching

    await server.all_closed()
    assert world.room.held == 0


async def test_what_came_is_counted_and_stays_so_until_given_back(server):
    world = World(server)
    server.script(picture())

    await world.fetch()

    assert world.room.held == len(PNG)


async def test_a_full_room_ends_the_fetching(server):
    world = World(server)
    world.room.limit = 50
    server.script(picture())

    with pytest.raises(MemoryError):
        await world.fetch()

    assert world.room.held == 0
    await server.all_closed()


# -- the machine's own network -----------------------------------------------------------------


async def test_the_system_looks_names_up():
    resolver = SystemResolver()

    found = await resolver.resolve("localhost")
    with pytest.raises(OSError, match=r"."):
        await resolver.resolve("a" * 64)
    resolver.close()

    assert ipaddress.ip_address("127.0.0.1") in found


async def test_a_listed_server_of_this_machine_is_fetched_from(server):
    fetcher = Fetcher(private_hosts=PrivateHosts(f"127.0.0.1:{server.port}"))
    server.script(picture())

    found = await fetcher.fetch(f"http://127.0.0.1:{server.port}/a.png", limits=PICTURES)
    fetcher.close()

    assert found == Fetched("image/png", PNG)


async def test_the_machine_itself_is_not_fetched_from_by_name():
    fetcher = Fetcher()

    with pytest.raises(FetchError) as caught:
        await fetcher.fetch("http://localhost/", limits=PICTURES)
    fetcher.close()

    assert caught.value.message == NOT_PUBLIC


async def test_an_end_of_the_fetcher_is_one_of_its_resolver(server):
    world = World(server)

    world.fetcher.close()

    assert world.resolver.closed


def test_certificates_are_verified_by_name():
    context = SystemConnector()._tls()

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
