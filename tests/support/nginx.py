"""The system's nginx before a service of the tests, as a balancer is."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port, wait_for_port

SETTINGS = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/errors;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/bodies;
  proxy_temp_path {folder}/answers;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream service {{ server {service}; keepalive 200; keepalive_timeout {keepalive_seconds}s; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"""


@contextmanager
def running_nginx(service: str, keepalive_seconds: int) -> Iterator[str]:
    """Its URL. It keeps idle connections to the service (host:port) for so long, then closes them itself."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert program, "nginx is missing; `make check` installs it or says how"
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="payments-nginx-") as folder:
        os.chmod(folder, 0o755)
        settings = Path(folder) / "nginx.conf"
        settings.write_text(
            SETTINGS.format(folder=folder, service=service, port=port, keepalive_seconds=keepalive_seconds)
        )
        process = subprocess.Popen([program, "-c", str(settings), "-e", f"{folder}/errors"])
        try:
            wait_for_port(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()
