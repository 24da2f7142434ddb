"""nginx twice: as an instant upstream for whole replies, and as the proxy to compare with.

Directives follow https://nginx.org/en/docs/http/ngx_http_proxy_module.html and its neighbours.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meterway.bench.certificate import Certificate
from meterway.bench.payloads import PATHS, whole_reply
from meterway.bench.types import Size

_FRAME = """daemon off;
master_process off;
worker_processes 1;
pid {folder}/{name}.pid;
error_log {folder}/{name}.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  default_type application/json;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  client_max_body_size 16m;
  client_body_buffer_size 256k;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  open_file_cache max=16 inactive=600s;
{content}}}
"""


@dataclass(frozen=True, slots=True)
class Backend:
    """Where the proxy leads one prefix to.

    Args:
        port: On 127.0.0.1.
        tls: Whether to speak TLS, verified, and with sessions reused.
        stream: Whether chunks go on as they come instead of being gathered in buffers.
    """

    port: int
    tls: bool = False
    stream: bool = False


def find_nginx() -> str | None:
    """Return the program's path where nginx is installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def command(program: str, config: Path) -> list[str]:
    """Return the command that runs one nginx process with `config` in the foreground."""
    return [
        program,
        "-p",
        str(config.parent),
        "-e",
        str(config.with_suffix(".log")),
        "-c",
        str(config),
    ]


def write_upstream(folder: Path, *, plain: int, tls: int, certificate: Certificate) -> Path:
    """Write the configuration of an upstream on two ports, and the replies it gives.

    Small replies are literals; large ones are files, which nginx serves to a POST only by way of
    its 405 page.
    """
    locations: list[str] = []
    for dialect, path in PATHS.items():
        small = _literal(whole_reply(dialect, Size.SMALL).decode())
        locations.append(f"    location = {path} {{ return 200 {small}; }}\n")
        large = folder / f"{dialect}.json"
        large.write_bytes(whole_reply(dialect, Size.LARGE))
        locations.append(
            f"    location = /large{path} {{ error_page 405 =200 /{large.name}; return 405; }}\n"
            f"    location = /{large.name} {{ root {folder}; }}\n",
        )
    server = (
        "  server {\n"
        f"    listen 127.0.0.1:{plain} backlog=2048;\n"
        f"    listen 127.0.0.1:{tls} ssl backlog=2048;\n"
        f"    ssl_certificate {certificate.chain};\n"
        f"    ssl_certificate_key {certificate.key};\n"
        "    ssl_session_cache shared:bench:1m;\n"
        f"    root {folder};\n"
        f"{''.join(locations)}"
        "  }\n"
    )
    return _write(folder, "upstream", server)


def write_proxy(
    folder: Path, *, port: int, backends: Mapping[str, Backend], certificate: Certificate
) -> Path:
    """Write the configuration of a proxy that leads `/NAME/...` to the backend of that name."""
    groups = "".join(
        f"  upstream {name} {{ server 127.0.0.1:{backend.port}; keepalive 256; "
        "keepalive_requests 1000000000; }\n"
        for name, backend in backends.items()
    )
    locations = "".join(_location(name, backend) for name, backend in backends.items())
    settings = (
        "  proxy_http_version 1.1;\n"
        '  proxy_set_header connection "";\n'
        "  proxy_set_header host localhost;\n"
        "  proxy_ssl_verify on;\n"
        f"  proxy_ssl_trusted_certificate {certificate.authority};\n"
        "  proxy_ssl_name localhost;\n"
        "  proxy_buffers 32 16k;\n"
    )
    server = f"  server {{\n    listen 127.0.0.1:{port} backlog=2048;\n{locations}  }}\n"
    return _write(folder, "proxy", settings + groups + server)


def _literal(text: str) -> str:
    """Return a string of nginx's configuration, in which a backslash and a quote stand for more."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _location(name: str, backend: Backend) -> str:
    scheme = "https" if backend.tls else "http"
    buffering = "off" if backend.stream else "on"
    return (
        f"    location /{name}/ {{ proxy_pass {scheme}://{name}/; proxy_buffering {buffering}; }}\n"
    )


def _write(folder: Path, name: str, content: str) -> Path:
    config = folder / f"{name}.conf"
    config.write_text(_FRAME.format(folder=folder, name=name, content=content))
    return config
