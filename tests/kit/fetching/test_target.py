"""How URLs are read: one spelling for each host, and no doubt about which it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.kit.fetching.errors import FetchError
from meterway.kit.fetching.target import Target


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://Example.COM/a.png", ("https", "example.com", 443, "/a.png")),
        ("HTTP://example.com", ("http", "example.com", 80, "/")),
        ("https://example.com:/x?y=1#frag", ("https", "example.com", 443, "/x?y=1")),
        ("https://example.com:8443/", ("https", "example.com", 8443, "/")),
        ("https://example.com./", ("https", "example.com", 443, "/")),
        ("https://a_b.example.com/", ("https", "a_b.example.com", 443, "/")),
        ("https://bücher.example/ü?ö", ("https", "xn--bcher-kva.example", 443, "/%C3%BC?%C3%B6")),
        ("https://example.com/%41%2f?a=%20", ("https", "example.com", 443, "/%41%2f?a=%20")),
        ("https://example.com/?b=[1]", ("https", "example.com", 443, "/?b=[1]")),
        ('https://example.com/"<x>"', ("https", "example.com", 443, "/%22%3Cx%3E%22")),
        ("https://example.com?x", ("https", "example.com", 443, "/?x")),
        ("http://93.184.215.14/", ("http", "93.184.215.14", 80, "/")),
        ("http://[2606:2800:21F::1]:443/", ("http", "2606:2800:21f::1", 443, "/")),
        ("http://\uff11\uff12\uff17.0.0.1/", ("http", "127.0.0.1", 80, "/")),
        ("http://127\u30020\u30020\u30021/", ("http", "127.0.0.1", 80, "/")),
    ],
)  # fmt: skip
def test_a_url_is_read(url, read):
    target = Target.parse(url)

    assert (target.scheme, target.host, target.port, target.path) == read


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/",
        "data:image/png;base64,AA", "javascript:alert(1)", "//example.com/", "/etc/passwd",
        "example.com", "", "gs://bucket/x", "unix:///run/docker.sock", "jar:http://example.com!/", "dict://127.0.0.1:11211/",
    ],
)  # fmt: skip
def test_other_schemes_are_not_fetched(url):
    with pytest.raises(FetchError, match=r"Only http:// and https:// URLs are fetched\."):
        Target.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:canary@example.com/", "https://canary@example.com/", "https://@example.com/",
        "http://93.184.215.14@127.0.0.1/", "https://example.com:canary@127.0.0.1:80/",
    ],
)  # fmt: skip
def test_credentials_are_refused_and_not_repeated(url):
    with pytest.raises(FetchError, match="user name or password") as caught:
        Target.parse(url)

    assert "canary" not in caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/", "http://0x7f000001/", "http://017700000001/", "http://0177.0.0.1/",
        "http://0x7f.0.0.1/", "http://127.1/", "http://127.0.1/", "http://127.0.0.0x1/",
        "http://127.0.0.01/", "http://1.2.3.4.5/", "http://256.1.1.1/", "http://0x/", "http://0/",
        "http://example.123/", "http://①②⑦.⓪.⓪.①.5/",
    ],
)  # fmt: skip
def test_odd_spellings_of_ipv4_are_refused(url):
    with pytest.raises(FetchError, match="cannot be read"):
        Target.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://", "http:///path", "http://:80/", "http://exa mple.com/", "http://example.com/a b",
        " http://example.com/", "http://example.com/\r\nx: y", "http://exam\tple.com/", "http://a\\b/",
        "http://example.com\\@127.0.0.1/", "http://example.com:port/", "http://example.com:99:80/",
        "http://[::1/", "http://::1/", "http://[::1]evil/", "http://evil[::1]/", "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/", "http://[v1.x]/", "http://[127.0.0.1]/", "http://%31%32%37.0.0.1/",
        "http://a..b/", "http://.a/", "http://-a.example/", "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 130 + "example/", "http://example.com/" + "a" * 9000,
        "http://exa\x00mple.com/", "http://example.com:\uff18\uff10/",
        "http://a,b/", "http://a'b/", "http://exam\u2100ple/",
    ],
)  # fmt: skip
def test_what_two_readers_could_take_for_different_hosts_is_refused(url):
    with pytest.raises(FetchError, match="cannot be read"):
        Target.parse(url)


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        (b"/b.png", "http://example.com:8080/b.png"),
        (b"b.png?x", "http://example.com:8080/a/b.png?x"),
        (b"//other.example/c", "http://other.example/c"),
        (b"https://other.example/", "https://other.example/"),
        ("/ü".encode(), "http://example.com:8080/%C3%BC"),
    ],
)
def test_a_redirect_is_read_from_where_it_stands(location, leads):
    target = Target.parse("http://example.com:8080/a/x").redirected(location)

    assert f"{target.scheme}://{target.authority}{target.path}" == leads


@pytest.mark.parametrize(
    "location",
    [b"ftp://x/", b"file:///etc/passwd", b"https://u:p@x/", b"http://x y/", b"/\xff", b"http://127.1/",
     b"http://[::1", b"http://example.com/"],
)  # fmt: skip
def test_a_redirect_to_what_is_not_fetched_is_refused(location):
    with pytest.raises(FetchError):
        Target.parse("https://example.com/").redirected(location)


@given(st.text(max_size=80), st.sampled_from(["", "http://", "https://"]))
def test_any_text_is_read_or_refused_by_name(text, scheme):
    try:
        target = Target.parse(scheme + text)
    except FetchError:
        return
    line = f"GET {target.path} HTTP/1.1\r\nhost: {target.authority}\r\n".encode("ascii")
    assert line.count(b"\r\n") == 2
    assert line.split(b"\r\n")[0].count(b" ") == 2
