"""deploy/nginx/payments.conf.template as it stands, filled in as nginx's own image does, before a service."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.house import ROOT
from tests.support.ports import free_port, wait_for_port

TEMPLATE = ROOT / "deploy/nginx/payments.conf.template"
FRAME = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/errors;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path {folder}/bodies;
  proxy_temp_path {folder}/answers;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include {folder}/payments.conf;
}}
"""


def program() -> str:
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found, "nginx is missing; `make check` installs it or says how"
    return found


def written(folder: Path, upstream: str, certificate: Path, port: int = 443, plain_port: int = 80) -> Path:
    """The settings in a folder, with other ports and places, and nothing else changed."""
    filled = TEMPLATE.read_text().replace("${UPSTREAM}", upstream).replace("${SERVER_NAME}", "localhost")
    for ours, theirs in (
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("listen 80", f"listen 127.0.0.1:{plain_port}"),
        ("listen [::]:443", f"listen [::1]:{port}"),
        ("listen [::]:80", f"listen [::1]:{plain_port}"),
        ("/etc/nginx/tls/fullchain.pem", str(certificate)),
        ("/etc/nginx/tls/privkey.pem", str(certificate)),
        ("/var/log/nginx/access.log", f"{folder}/access"),
    ):
        assert ours in filled, ours
        filled = filled.replace(ours, theirs)
    (folder / "payments.conf").write_text(filled)
    path = folder / "nginx.conf"
    path.write_text(FRAME.format(folder=folder))
    return path


@contextmanager
def running(upstream: str, certificate: Path) -> Iterator[tuple[str, str, Path]]:
    """Its https:// and its http:// address, and its access log."""
    port, plain_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="payments-nginx-") as name:
        folder = Path(name)
        os.chmod(folder, 0o755)
        own = folder / "tls.pem"
        shutil.copy(certificate, own)
        settings = written(folder, upstream, own, port, plain_port)
        process = subprocess.Popen([program(), "-c", str(settings), "-e", f"{folder}/errors"])
        try:
            wait_for_port(port, process)
            yield f"https://localhost:{port}", f"http://localhost:{plain_port}", folder / "access"
        finally:
            process.terminate()
            process.wait()
