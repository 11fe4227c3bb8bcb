"""What gunicorn.conf.py says, read in a process of its own: it replaces blocking calls where it is read."""

import json
import os
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


def gunicorn_settings(folder: Path = ROOT, **variables: str) -> dict[str, Any]:
    """As it is read in a folder; with variables, by these alone."""
    env = {"PATH": os.environ["PATH"], **variables} if variables else None
    command = [sys.executable, "-c", READ]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, check=True, text=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said
