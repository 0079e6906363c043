"""Web research: what is read from pages, and what must not be reached."""

import datetime
import gzip
import json
import socket
import ssl
import threading

import pytest
from conftest import load
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

web = load("web-research")

PAGE = """<!doctype html><html><head><title>Dormice &amp; sleep</title><style>p{color:red}</style></head>
<body><nav>Home | About</nav><header>Banner</header><h1>Dormice</h1>
<p>They sleep for <b>six</b>
months.</p><script>alert("no")</script><ul><li>One</li><li>Two</li></ul><footer>(c)</footer></body></html>"""

DUCK = """<html><body><div id="links">
<div class="result result--ad"><a class="result__a" href="https://ads.example/">Buy</a></div>
<div class="result results_links"><h2><a class="result__a"
 href="//duckduckgo.com/l/?uddg=https%3A%2F%2Fa.example%2Fx%3Fy%3D1&amp;rut=1">First <b>hit</b></a></h2>
 <a class="result__snippet">About   the <b>first</b>.</a></div>
<div class="result"><a class="result__a" href="https://b.example/">Second</a></div>
<div class="result"><a class="result__a" href="javascript:alert(1)">Bad</a></div>
MORE</div></body></html>""".replace(
    "MORE",
    "".join(
        f'<div class="result"><a class="result__a" href="https://c.example/{n}">More {n}</a></div>' for n in range(9)
    ),
)


@pytest.fixture
def allowed(site, monkeypatch):
    monkeypatch.setenv("DORMOUSE_FETCH_ALLOW", site.origin)
    return site


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "64:ff9b::7f00:1"),
        *("2002:7f00:1::", "2002:a00:1::1", "64:ff9b::a9fe:a9fe", "not an address"),
    ],
)
def test_address_inside_is_not_public(address):
    assert not web.is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_address_outside_is_public(address):
    assert web.is_public(address)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("ftp://example.com/", "only http and https"),
        ("gopher://example.com/", "only http and https"),
        ("http://", "names no host"),
        ("http://user:secret@example.com/", "user name or password"),
        ("http://exa mple.com/", "space"),
        ("http://example.com/\r\nHost: x", "control character"),
        ("http://example.com\\@127.0.0.1/", "backslash"),
        ("http://example.com:99999/", "not valid"),
        ("http://[::1/", "not valid"),
        ("hello", "is not a URL"),
        ("http://example.com/" + "x" * 2000, "too long"),
    ],
)
def test_unfit_url_is_an_error(url, fault):
    with pytest.raises(web.ToolError, match=fault):
        web.fetch_url(url)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0"],
)
def test_local_page_is_refused_in_every_spelling(site, host):
    site.page("/", PAGE)
    with pytest.raises(web.ToolError, match="not on the public internet|was not found"):
        web.fetch_url(f"http://{host}:{site.port}/")
    assert site.requests == []


def test_one_private_address_among_public_ones_is_refused(monkeypatch):
    answers = [(socket.AF_INET, 1, 6, "", (a, 80)) for a in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    with pytest.raises(web.ToolError, match="not on the public internet"):
        web.fetch_url("http://two.example/")


def test_name_is_looked_up_once_and_the_checked_address_is_used(site, monkeypatch):
    """A name that turns private after the check (DNS rebinding) changes nothing."""
    lookups, connects = [], []

    def look_up(host, port, **_):
        lookups.append(host)
        address = "93.184.215.14" if len(lookups) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(address, **_):
        connects.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(web.ToolError, match="Connection refused"):
        web.fetch_url(f"http://rebind.example:{site.port}/")
    assert lookups == ["rebind.example"]
    assert connects == [("93.184.215.14", site.port)]


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for the name `localhost` only, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "certificate.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, *plain))
    return file


def test_https_is_checked_by_name_though_the_address_is_pinned(site, certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    # The handshake belongs to the connection's own thread, where a failed one hurts nobody.
    site.server.socket = context.wrap_socket(site.server.socket, server_side=True, do_handshake_on_connect=False)
    site.page("/p", PAGE)
    monkeypatch.setenv("DORMOUSE_FETCH_ALLOW", f"localhost:{site.port},127.0.0.1:{site.port}")
    with pytest.raises(web.ToolError, match="certificate of localhost is not valid"):
        web.fetch_url(f"https://localhost:{site.port}/p")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert "six months" in web.fetch_url(f"https://localhost:{site.port}/p")
    with pytest.raises(web.ToolError, match="certificate of 127.0.0.1 is not valid"):
        web.fetch_url(f"https://127.0.0.1:{site.port}/p")


def test_redirect_to_an_inner_address_is_refused(allowed):
    allowed.pages["/go"] = (302, {"Location": f"http://localhost:{allowed.port}/secret"}, b"")
    allowed.pages["/meta"] = (301, {"Location": "http://169.254.169.254/latest/meta-data"}, b"")
    allowed.pages["/file"] = (302, {"Location": "file:///etc/passwd"}, b"")
    allowed.page("/secret", PAGE)
    for path, fault in [("/go", "public internet"), ("/meta", "public internet"), ("/file", "only http and https")]:
        with pytest.raises(web.ToolError, match=fault):
            web.fetch_url(allowed.url + path)
    assert [path for path, *_ in allowed.requests] == ["/go", "/meta", "/file"]


def test_redirects_are_followed_and_counted(allowed):
    allowed.pages["/a"] = (302, {"Location": "/b?x=1"}, b"")
    allowed.page("/b", PAGE)
    allowed.pages["/loop"] = (302, {"Location": "/loop"}, b"")
    assert f"{allowed.url}/b?x=1" in web.fetch_url(f"{allowed.url}/a")
    with pytest.raises(web.ToolError, match="more than 5 redirects"):
        web.fetch_url(f"{allowed.url}/loop")


def test_page_becomes_readable_text(allowed):
    allowed.page("/p", PAGE)
    text = web.fetch_url(f"{allowed.url}/p")
    assert text == f"Dormice & sleep\n{allowed.url}/p\n\nDormice\nThey sleep for six months.\nOne\nTwo"
    path, headers, _ = allowed.requests[0]
    assert (path, headers["Host"]) == ("/p", allowed.origin)


def test_long_page_is_cut_and_says_so(allowed):
    allowed.page("/long", "<p>" + "word " * 5000 + "</p>")
    text = web.fetch_url(f"{allowed.url}/long")
    assert text.endswith("[cut: the first 3000 of 24999 characters]")
    assert len(text) < 3200


def test_huge_body_is_read_in_part_only(allowed, monkeypatch):
    monkeypatch.setattr(web, "MAX_BYTES", 10_000)
    allowed.page("/huge", "<p>start</p>" + "x" * 100_000)
    assert web.fetch_url(f"{allowed.url}/huge").endswith("[only the first 10 kB of the page were read]")


def test_packed_body_cannot_explode(allowed, monkeypatch):
    monkeypatch.setattr(web, "MAX_BYTES", 100_000)
    bomb = gzip.compress(b"a" * 50_000_000)
    allowed.pages["/bomb"] = (200, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, bomb)
    allowed.pages["/fine"] = (200, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, gzip.compress(b"fine"))
    allowed.pages["/lie"] = (200, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, b"not packed")
    assert len(web.fetch_url(f"{allowed.url}/bomb")) < 4000
    assert web.fetch_url(f"{allowed.url}/fine").endswith("fine")
    with pytest.raises(web.ToolError, match="packed"):
        web.fetch_url(f"{allowed.url}/lie")


def test_page_that_trickles_ends_at_the_deadline(allowed, monkeypatch):
    monkeypatch.setattr(web, "PAGE_SECONDS", 0.5)
    over = threading.Event()

    def trickle(handler, _body):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")
        while not over.wait(0.05):
            try:
                handler.wfile.write(b"X-More: 1\r\n")
            except OSError:
                over.set()  # the reader hung up

    allowed.pages["/slow"] = trickle
    with pytest.raises(web.ToolError, match="took longer than 0.5 s"):
        web.fetch_url(f"{allowed.url}/slow")
    assert over.wait(10), "the connection is closed at the deadline"


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/json", '{"a": 1}', '{"a": 1}'),
        ("text/plain; charset=latin-1", "caf\xe9".encode("latin-1"), "café"),
        ("text/plain; charset=nonsense", "x", "x"),
        ("text/html; charset=windows-1252", "<p>\x80</p>".encode("latin-1"), "€"),
    ],
)
def test_text_of_other_types_and_charsets_is_read(allowed, kind, body, expected):
    allowed.page("/t", body, kind)
    assert web.fetch_url(f"{allowed.url}/t").endswith(f"\n\n{expected}")


def test_what_is_no_text_is_an_error(allowed):
    allowed.page("/i", b"\x89PNG", "image/png")
    allowed.page("/e", "<html></html>")
    allowed.page("/500", "oops", status=500)
    for path, fault in [("/i", "is image/png"), ("/e", "no readable text"), ("/500", "answered 500"), ("/x", "404")]:
        with pytest.raises(web.ToolError, match=fault):
            web.fetch_url(allowed.url + path)


def test_exceptions_are_exact_and_broken_ones_are_named(monkeypatch, site):
    site.page("/", PAGE)
    monkeypatch.setenv("DORMOUSE_FETCH_ALLOW", f"127.0.0.1:{site.port + 1}, localhost:1")
    with pytest.raises(web.ToolError, match="public internet"):
        web.fetch_url(site.url)
    monkeypatch.setenv("DORMOUSE_FETCH_ALLOW", "127.0.0.1")
    with pytest.raises(web.ToolError, match="'127.0.0.1' is not host:port"):
        web.fetch_url(site.url)
    assert web.allowed_origins("[::1]:80 A.example:8080") == {("::1", 80), ("a.example", 8080)}


# --- search ------------------------------------------------------------------


def test_results_are_read_without_advertisements(site, monkeypatch):
    site.page("/s", DUCK)
    monkeypatch.setenv("DORMOUSE_SEARCH_URL", f"{site.url}/s")
    lines = web.search_web("latest  AI news & more").splitlines()
    assert lines[:3] == [
        "1. First hit - https://a.example/x?y=1",
        "   About the first .",
        "2. Second - https://b.example/",
    ]
    assert lines[-1].startswith("5. ") and len(lines) == 6
    assert site.requests[0][0] == "/s?q=latest+AI+news+%26+more"


def test_search_address_may_be_a_template_and_the_answer_json(site, monkeypatch):
    results = [{"title": "T", "url": "https://t.example", "content": "c"}, {"title": "F", "url": "file:///x"}]
    site.page("/json", json.dumps({"results": results}), "application/json")
    monkeypatch.setenv("DORMOUSE_SEARCH_URL", f"{site.url}/json?f=json&query={{query}}")
    assert web.search_web("a b") == "1. T - https://t.example\n   c"
    assert site.requests[0][0] == "/json?f=json&query=a%20b"


def test_no_results_is_an_answer_and_an_odd_page_an_error(site, monkeypatch):
    monkeypatch.setenv("DORMOUSE_SEARCH_URL", f"{site.url}/s")
    site.page("/s", '<div class="no-results">None</div>')
    assert web.search_web("zzz") == "No results for 'zzz'."
    site.page("/s", "<h1>New design</h1>")
    with pytest.raises(web.ToolError, match="layout"):
        web.search_web("zzz")


def test_busy_engine_is_asked_again_and_then_given_up(site, monkeypatch):
    monkeypatch.setattr(web, "BACK_OFF_SECONDS", 0)
    monkeypatch.setenv("DORMOUSE_SEARCH_URL", f"{site.url}/s")
    left = [1]

    def busy(_handler, _body):
        left[0] -= 1
        return (202 if left[0] >= 0 else 200), {"Content-Type": "text/html"}, DUCK.encode()

    site.pages["/s"] = busy
    assert web.search_web("x").startswith("1. First hit")
    left[0], site.requests[:] = 99, []
    with pytest.raises(web.ToolError, match="answers 202"):
        web.search_web("x")
    assert len(site.requests) == 3


def test_the_search_endpoint_is_no_exception_for_pages(site, monkeypatch):
    monkeypatch.setenv("DORMOUSE_SEARCH_URL", f"{site.url}/s")
    site.page("/s", DUCK)
    with pytest.raises(web.ToolError, match="public internet"):
        web.fetch_url(f"{site.url}/s")
    site.pages["/s"] = (302, {"Location": f"http://localhost:{site.port}/s"}, b"")
    with pytest.raises(web.ToolError, match="public internet"):
        web.search_web("x")


# --- live --------------------------------------------------------------------


def test_live_server_searches_and_fetches(talk, site):
    site.page("/s", DUCK)
    site.page("/p", PAGE)
    found, page, refused, empty = talk(
        "web-research",
        ("search_web", {"query": "python tutorials"}),
        ("fetch_url", {"url": f"{site.url}/p"}),
        ("fetch_url", {"url": f"http://localhost:{site.port}/p"}),
        ("search_web", {"query": "  "}),
        env={"DORMOUSE_SEARCH_URL": f"{site.url}/s", "DORMOUSE_FETCH_ALLOW": site.origin},
    )
    assert not found.is_error and found.text.startswith("1. First hit")
    assert not page.is_error and "six months" in page.text
    assert refused.is_error
    assert refused.text == "localhost is not on the public internet; reading it is not allowed"
    assert (empty.is_error, empty.text) == (True, "the search query is empty")


def test_live_server_refuses_local_pages_by_default(talk, site):
    site.page("/p", PAGE)
    (refused,) = talk("web-research", ("fetch_url", {"url": f"{site.url}/p"}))
    assert refused.is_error and site.requests == []


def test_page_is_summarized_by_the_model(talk, site, model):
    site.page("/p", PAGE)
    model.says = "Dormice sleep long."
    (answer,) = talk(
        "web-research",
        ("summarize_url", {"url": f"{site.url}/p"}),
        env=model.env | {"DORMOUSE_FETCH_ALLOW": site.origin, "DORMOUSE_MODEL_KEY": "s3cret"},
    )
    assert answer.text == f"Dormice sleep long.\n\nSource: {site.url}/p"
    assert "They sleep for six months." in model.asked
    assert model.requests[0][1]["Authorization"] == "Bearer s3cret"


def test_summary_without_a_model_is_an_error_before_anything_is_read(talk, site):
    (answer,) = talk(
        "web-research", ("summarize_url", {"url": f"{site.url}/p"}), env={"DORMOUSE_FETCH_ALLOW": site.origin}
    )
    assert answer.is_error and "none is configured (DORMOUSE_MODEL_URL is not set)" in answer.text
    assert site.requests == []


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ((500, {}, b"no"), "HTTP 500"),
        ((200, {}, b"not json"), "cannot be read"),
        ((200, {}, b'{"choices": []}'), "cannot be read"),
        ((200, {}, b'{"choices": [{"message": {"content": null}}]}'), "cannot be read"),
        ((200, {}, b'{"choices": [{"message": {"content": "  "}}]}'), "empty answer"),
    ],
)
def test_faulty_model_is_an_error(model, monkeypatch, page, fault):
    for name, value in model.env.items():
        monkeypatch.setenv(name, value)
    model.pages["/v1/chat/completions"] = page
    with pytest.raises(web.ToolError, match=fault):
        web.ask_model("instruction", "text")


def test_absent_model_is_an_error(model, monkeypatch):
    monkeypatch.setenv("DORMOUSE_MODEL", "tiny")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("DORMOUSE_MODEL_URL", f"http://127.0.0.1:{port}/v1")
    with pytest.raises(web.ToolError, match="the model tiny cannot be reached"):
        web.ask_model("instruction", "text")
    monkeypatch.setenv("DORMOUSE_MODEL_URL", "file:///etc/passwd")
    with pytest.raises(web.ToolError, match="must be an http or https URL"):
        web.ask_model("instruction", "text")
