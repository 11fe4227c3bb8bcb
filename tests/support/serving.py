"""What gunicorn.conf.py says, read in a process of its own: it replaces blocking calls where it is read."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
READ = """
import json, os, runpy
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", ".")
said = runpy.run_path("gunicorn.conf.py")
print(json.dumps({name: value for name, value in said.items() if isinstance(value, str | int)}))
"""


def gunicorn_settings() -> dict[str, Any]:
    command = [sys.executable, "-c", READ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said
