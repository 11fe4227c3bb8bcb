"""`make run`, twice, and the commands beside it, in a copy of the project that has no settings of its own."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from dotenv import dotenv_values

from tests.support.house import CUSTOMER, House
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
GATEWAYS = ("razorpay", "phonepe", "cashfree")
BARE = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}


class Copy:
    def __init__(self, folder: Path) -> None:
        self.folder, self.python = folder, sys.executable
        packages = ("payments_service", "gateway_simulator")
        for name in (*packages, "deploy", "wsgi.py", ".env.example"):
            target = folder / name
            if name in packages:
                target.symlink_to(ROOT / name)
            else:
                subprocess.run(["cp", "-r", str(ROOT / name), str(target)], check=True)
        self.port, self.simulator_port = free_port(), free_port()

    @property
    def ports(self) -> dict[str, str]:
        return {"PORT": str(self.port), "SIMULATOR_PORT": str(self.simulator_port)}

    @contextmanager
    def running(self) -> Iterator[str]:
        """The address of the service; ended by Ctrl-C, which must be clean."""
        log = self.folder / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [self.python, "deploy/development.py"],
                cwd=self.folder,
                env=BARE | self.ports,
                stdout=output,
                stderr=output,
            )
        try:
            House.until(log.read_text, lambda text: "Ready. Open" in text or process.poll() is not None, 90)
            assert "Ready. Open" in log.read_text(), log.read_text()
            yield f"http://127.0.0.1:{self.port}"
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0, log.read_text()
        finally:
            process.terminate()
            process.wait(30)
        assert "Traceback" not in log.read_text(), log.read_text()

    def run(self, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.python, *command],
            cwd=self.folder,
            env=BARE | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def flask(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return self.run("-m", "flask", "--app", "wsgi", *arguments, **variables)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def create_order(url: str, gateway: str) -> dict[str, Any]:
    body = {"amount": 499, "gateway": gateway, "customer": CUSTOMER}
    answer = requests.post(f"{url}/api/payment/create-order", json=body, timeout=20)
    assert answer.status_code == 200, answer.text
    created: dict[str, Any] = answer.json()
    return created


def pay(copy: Copy, url: str, gateway: str, order_id: str) -> None:
    pays = f"http://127.0.0.1:{copy.simulator_port}/_sim/orders/{order_id}/success"
    assert requests.post(pays, timeout=20).status_code == 200
    status = f"{url}/api/payment/status/{gateway}/{order_id}"
    House.until(
        lambda: requests.get(status, timeout=20).json(), lambda answer: answer["paymentStatus"] == "completed"
    )


@pytest.mark.check
def test_a_payment_that_was_opened_before_a_restart_can_be_paid_after_it(copy: Copy) -> None:
    with copy.running() as url:
        opened = {gateway: create_order(url, gateway) for gateway in GATEWAYS}
    with copy.running() as url:
        for gateway, created in opened.items():
            pay(copy, url, gateway, created["order"]["orderId"])
        settings = copy.folder / ".development" / "settings.env"
        assert stat.S_IMODE(settings.stat().st_mode) == 0o600
        shown = copy.flask("show", opened["razorpay"]["order"]["orderId"])
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "completed, ₹499" in shown.stdout
        asked = copy.flask("reconcile", *(created["id"] for created in opened.values()))
        assert asked.returncode == 0, asked.stderr
        assert asked.stdout.count("stays completed") == 3
        second = copy.run("deploy/development.py", PORT=str(free_port()), SIMULATOR_PORT=str(free_port()))
        assert (second.returncode, second.stdout.count("\n")) == (1, 1)
        assert "make run is running here already" in second.stdout
    assert copy.flask("outbox").stdout == "0 waiting, 0 dead.\n"


def python_of(version: str) -> str | None:
    """Where this machine has that Python, in PATH or as pyenv keeps it."""
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    found = [path for name in (f"python{version}", *map(str, kept)) if (path := shutil.which(name))]
    runs = ["-c", f"import sys; sys.exit(not sys.version.startswith('{version}.'))"]
    return next(
        (path for path in found if not subprocess.run([path, *runs], stderr=subprocess.DEVNULL).returncode),
        None,
    )


@pytest.mark.check
@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_a_newer_python_takes_payments_too(copy: Copy, version: str) -> None:
    """`render.yaml` and the Dockerfile name another one than development may have."""
    if (newer := python_of(version)) is None:
        pytest.skip(f"no Python {version} here")
    venv = copy.folder / "venv"
    subprocess.run(
        ["sh", ROOT / "deploy" / "install.sh", venv, ROOT / "requirements.txt"],
        env=BARE | {"PYTHON": newer},
        check=True,
    )
    copy.python = str(venv / "bin" / "python")
    with copy.running() as url:
        for gateway in GATEWAYS:
            pay(copy, url, gateway, create_order(url, gateway)["order"]["orderId"])


@pytest.mark.parametrize("where", [".env", "environment"])
def test_production_is_refused_in_a_sentence_before_anything_happens(copy: Copy, where: str) -> None:
    database = f"sqlite:///{copy.folder}/shop.db"
    variables = {"APP_ENV": "production", "DATABASE_URL": database}
    if where == ".env":
        (copy.folder / ".env").write_text("".join(f"{name} = {value}\n" for name, value in variables.items()))
        variables = {}
    ended = copy.run("deploy/development.py", **copy.ports, **variables)
    assert ended.returncode == 1
    assert "APP_ENV is production here, and make run is for development" in ended.stdout
    assert not (copy.folder / "shop.db").exists()


def leave(copy: Copy) -> None:
    (copy.folder / ".development").mkdir()
    left = "APP_ENV='development'\nDATABASE_URL='sqlite:///.development/left.db'\n"
    (copy.folder / ".development" / "settings.env").write_text(left)


def test_commands_take_what_make_run_left(copy: Copy) -> None:
    leave(copy)
    assert copy.flask("db", "upgrade").returncode == 0
    assert (copy.folder / ".development" / "left.db").exists()


@pytest.mark.parametrize(
    "variables", [{"APP_ENV": "production"}, {"DATABASE_URL": "sqlite:///x.db"}, {".env": "LOG_LEVEL=INFO\n"}]
)
def test_but_not_where_there_are_settings(copy: Copy, variables: dict[str, str]) -> None:
    leave(copy)
    if ".env" in variables:
        (copy.folder / ".env").write_text(variables.pop(".env"))
    ended = copy.flask("db", "upgrade", **variables)
    assert ended.returncode == 3
    assert "SECRET_KEY: is required in production" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("where", [".env", "environment"])
def test_a_misspelt_setting_stops_the_start_wherever_it_stands(copy: Copy, where: str) -> None:
    variables = {"APP_ENV": "development", "RAZORPAY_KEYID": "rzp_test_1"}
    if where == ".env":
        (copy.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        variables = {}
    ended = copy.flask("db", "upgrade", **variables)
    assert ended.returncode == 3
    assert "RAZORPAY_KEYID: is not a setting; did you mean RAZORPAY_KEY_ID?" in ended.stderr


def test_celery_reads_the_same_settings_and_refuses_them_as_the_worker_does(copy: Copy) -> None:
    broker = "CELERY_BROKER_URL=redis://127.0.0.1:9/0"
    (copy.folder / ".env").write_text(f"APP_ENV=production\n{broker}\n")
    refused = copy.run("-c", "import payments_service.tasks")
    assert refused.returncode == 3
    assert "SECRET_KEY: is required in production" in refused.stderr
    assert "Traceback" not in refused.stderr
    (copy.folder / ".env").write_text(f"DATABASE_URL=sqlite:///shop.db\nAPP_ENV=development\n{broker}\n")
    taken = copy.run("-c", "import payments_service.tasks")
    assert taken.returncode == 0, taken.stderr


def test_a_server_does_not_take_what_make_run_left(copy: Copy) -> None:
    leave(copy)
    ended = copy.run("-m", "gunicorn", "--bind", "127.0.0.1:0", "wsgi:app")
    assert ended.returncode == 3
    assert "The settings are not usable" in ended.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("show", "--help"), ("api-key", "shop")])
def test_help_and_api_key_need_no_settings(copy: Copy, arguments: tuple[str, ...]) -> None:
    ended = copy.flask(*arguments)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_secrets_of_this_terminal_are_not_written_down(copy: Copy) -> None:
    script = (
        "import os, sys; sys.path.insert(0, 'deploy'); import development; from dotenv import load_dotenv;"
        "given = dict(os.environ); load_dotenv('.env.example');"
        "development.FOLDER.mkdir(); development.leave_settings(given)"
    )
    given = {
        "MERCHANT_WEBHOOK_SECRET": "whsec_private",
        "SMTP_URL": "smtp://u:private@h",
        "MERCHANT_NAME": "Asha's \\ shop",
    }
    ended = copy.run("-c", script, SIMULATOR_PORT="8090", PORT="5000", **given)
    assert ended.returncode == 0, ended.stderr
    written = (copy.folder / ".development" / "settings.env").read_text()
    assert "private" not in written
    assert "RAZORPAY_KEY_SECRET='simulator_razorpay_key_secret'" in written
    left = dotenv_values(copy.folder / ".development" / "settings.env", interpolate=False)
    assert left["MERCHANT_NAME"] == "Asha's \\ shop"
    assert left["RAZORPAY_API_URL"] == "http://127.0.0.1:8090/razorpay"
    (copy.folder / ".development").rename(copy.folder / "old")
    copy.run("-c", script, SIMULATOR_PORT="8090", DATABASE_URL="postgresql://u:private@h/n")
    assert not (copy.folder / ".development" / "settings.env").exists()
