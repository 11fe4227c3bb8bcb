"""What deploys the service: each file is checked by the tool that knows it, and agrees with the others."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from payments_service.domain.variables import variables_of
from payments_service.gateways import GATEWAYS
from payments_service.pages import docs
from payments_service.settings import variable_names
from tests.support.environment import environment
from tests.support.house import ROOT
from tests.support.ports import free_port

DOCKER = ROOT / "deploy/docker"
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
SOCKET = ROOT / "deploy/systemd/payments-web.socket"
NOT_OURS = {"PYTHON_VERSION", "GUNICORN_CMD_ARGS"}
"""Variables that the platform or gunicorn reads."""
NEEDED = {"DATABASE_URL", "SECRET_KEY", "BACKEND_URL", "FRONTEND_URL", "MERCHANT_NAME", "TRUSTED_PROXY_HOPS"}
COMMANDS = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return read


def render() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "render.yaml").read_text())
    return read


def dockerfile() -> str:
    return (DOCKER / "Dockerfile").read_text()


# ── Docker ──────────────────────────────────────────────────────────────────────────────────────────


def linted(path: Path) -> "subprocess.CompletedProcess[str]":
    hadolint = Path(sys.executable).parent / "hadolint"
    return subprocess.run([hadolint, path], capture_output=True, text=True)


def test_hadolint_finds_nothing_in_the_dockerfile_and_something_in_a_bad_one(tmp_path: Path) -> None:
    found = linted(DOCKER / "Dockerfile")
    assert found.returncode == 0, found.stdout
    worse = tmp_path / "Dockerfile"
    worse.write_text(dockerfile().replace("python:3.13-slim-trixie", "python:latest"))
    assert "DL3007" in linted(worse).stdout


def test_the_image_is_made_in_two_stages_and_runs_as_no_root_with_a_health_check() -> None:
    stages = re.findall(r"^FROM (\S+)", dockerfile(), re.M)
    assert len(stages) == 2
    last = dockerfile().rpartition("\nFROM ")[2]
    assert re.search(r"^USER (\d+):(\d+)$", last, re.M)
    assert re.search(r"^HEALTHCHECK ", last, re.M)
    assert f"CMD {json.dumps(COMMANDS['web'].split())}" in last


def test_every_setting_that_needs_packages_can_be_used_in_the_image() -> None:
    """SENTRY_DSN and CELERY_BROKER_URL need packages of their own, and the image has no pip."""
    [install] = re.findall(r"pip install (.+?) *\\\n", dockerfile())
    there = {path.name for path in ROOT.glob("requirements*.txt")} - {"requirements-dev.txt"}
    assert set(re.findall(r"-r (\S+)", install)) == there


def copied(stages: str) -> Iterator[tuple[str, str]]:
    """What these stages take from the repository: what, and where to."""
    for line in re.findall(r"^COPY (?!--from)(.+)$", stages, re.M):
        *sources, target = line.split()
        yield from ((source, target) for source in sources)


def copied_last() -> dict[str, str]:
    return dict(copied(dockerfile().rpartition("\nFROM ")[2]))


def test_what_the_image_takes_comes_into_the_build() -> None:
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert let_in == {source for source, _ in copied(dockerfile())}


def test_the_image_has_the_document_that_the_service_serves() -> None:
    served = docs.FILE.relative_to(ROOT)
    assert copied_last().get(str(served)) == f"{served.parent}/"


ASK_FOR_THE_DOCUMENT = """
from wsgi import app

asking = app.test_client()
print([asking.get(path).status_code for path in ("/docs", "/docs/errors", "/docs/openapi.json")])
"""


@pytest.mark.check
def test_what_is_in_the_image_is_enough_to_serve_to_work_and_to_migrate(tmp_path: Path) -> None:
    """In a folder that has only that, and that cannot be written to."""
    image = tmp_path / "image"
    image.mkdir()
    for source, target in copied_last().items():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, image / target)
        else:
            (image / target).mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, image / target)
    settings = environment(database_url=f"sqlite:///{tmp_path / 'payments.db'}")
    inside = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **settings}
    for command in (
        "flask --app wsgi db upgrade",
        "flask --app wsgi worker --once",
        "gunicorn --check-config wsgi:app",
    ):
        ended = subprocess.run(
            [sys.executable, "-m", *command.split()], cwd=image, env=inside, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr
    asked = subprocess.run(
        [sys.executable, "-c", ASK_FOR_THE_DOCUMENT], cwd=image, env=inside, capture_output=True, text=True
    )
    assert asked.stdout.splitlines()[-1:] == ["[200, 200, 200]"], asked.stderr


def test_the_compose_file_is_one_by_its_schema() -> None:
    schema = json.loads((ROOT / "tests/fixtures/compose/compose-spec.json").read_text())
    compose_schema = jsonschema.Draft7Validator(schema)
    compose_schema.validate(compose())
    wrong = {**compose(), "services": {"web": {"imagee": "payments"}}}
    with pytest.raises(jsonschema.ValidationError):
        compose_schema.validate(wrong)


@pytest.mark.parametrize("name", ["migrate", "web", "worker"])
def test_a_container_of_ours_can_write_nowhere_and_may_do_nothing_more(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["tmpfs"] == "/tmp"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_compose_runs_the_same_commands_as_the_procfile_behind_a_proxy() -> None:
    services = compose()["services"]
    assert services["migrate"]["command"] == COMMANDS["release"]
    assert services["worker"]["command"] == COMMANDS["worker"]
    assert "command" not in services["web"], "the image's own"
    assert "ports" not in services["web"], "only the proxy is reached from outside"
    assert services["web"]["environment"]["TRUSTED_PROXY_HOPS"] == "1"
    mounted = services["proxy"]["volumes"][0].split(":")[0]
    assert (DOCKER / mounted).resolve() == ROOT / "deploy/nginx/payments.conf.template"


def test_every_documented_compose_command_has_the_variables_that_the_file_needs() -> None:
    """Without --env-file compose looks for .env beside compose.yaml, and lacks what the file needs."""
    written = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), DOCKER / "compose.yaml"]
    said = [line for path in written for line in re.findall(r"docker compose .*", path.read_text())]
    assert len(said) >= 4
    right = "docker compose --env-file .env -f deploy/docker/compose.yaml "
    assert [line for line in said if not line.startswith(right)] == []


def test_the_proxy_is_started_anew_with_web_whose_address_it_asks_for_once() -> None:
    proxy = compose()["services"]["proxy"]
    assert proxy["depends_on"]["web"] == {"condition": "service_healthy", "restart": True}
    assert proxy["stop_grace_period"] == "60s", "as long as a request may wait for a gateway"


# ── the certificate ─────────────────────────────────────────────────────────────────────────────────

NGINX = (ROOT / "deploy/nginx/payments.conf.template").read_text()


def test_certbots_hook_copies_what_its_links_lead_to(tmp_path: Path) -> None:
    """As certbot keeps them: links to another folder, which nginx in a container cannot follow."""
    guide = (ROOT / "docs/deployment.md").read_text()
    [hook] = re.findall(r"--deploy-hook \\\n *'(.+) && systemctl reload nginx'$", guide, re.M)
    live, archive, taken = (tmp_path / name for name in ("live/pay.example.com", "archive", "taken"))
    for folder in (live, archive, taken):
        folder.mkdir(parents=True)
    for name in ("cert", "chain", "fullchain", "privkey"):
        (archive / f"{name}1.pem").write_text(name)
        (live / f"{name}.pem").symlink_to(f"../../archive/{name}1.pem")
    assert "/etc/nginx/tls" in hook
    command = hook.replace("/etc/nginx/tls", str(taken))
    environ = {"PATH": os.environ["PATH"], "RENEWED_LINEAGE": str(live)}
    for _ in ("the first one", "a renewed one"):
        subprocess.run(["sh", "-c", command], env=environ, check=True)
    for name in ("fullchain.pem", "privkey.pem"):
        copy = taken / name
        assert (copy.is_symlink(), copy.read_text()) == (False, name.removesuffix(".pem"))
        assert copy.stat().st_mode & 0o777 == 0o600
        assert f"/etc/nginx/tls/{name};" in NGINX


def test_nginx_shows_certbots_answers_in_docker_too() -> None:
    [folder] = re.findall(r"acme-challenge/ \{ root (\S+); \}", NGINX)
    assert f"-w {folder} " in (ROOT / "docs/deployment.md").read_text()
    assert f"{folder}:{folder}:ro" in compose()["services"]["proxy"]["volumes"]


# ── Render ──────────────────────────────────────────────────────────────────────────────────────────


def render_services() -> Mapping[str, dict[str, Any]]:
    return {service["type"]: service for service in render()["services"]}


def render_names(service: Mapping[str, Any]) -> set[str]:
    groups = {group["name"]: group["envVars"] for group in render()["envVarGroups"]}
    own = [one for one in service["envVars"] if "key" in one]
    grouped = [one for item in service["envVars"] if "fromGroup" in item for one in groups[item["fromGroup"]]]
    return {one["key"] for one in (*own, *grouped)}


def test_the_blueprint_runs_the_same_commands_as_the_procfile() -> None:
    services = render_services()
    assert services["web"]["startCommand"] == COMMANDS["web"]
    assert services["web"]["preDeployCommand"] == COMMANDS["release"]
    assert services["worker"]["startCommand"] == COMMANDS["worker"]
    assert services["web"]["healthCheckPath"] == "/health"
    assert {service["region"] for service in (*services.values(), *render()["databases"])} == {"singapore"}


def test_the_blueprint_names_what_production_needs_and_no_variable_that_there_is_not() -> None:
    newest = {gateway.name: gateway for gateway in reversed(GATEWAYS)}.values()
    credentials = {v.name for gateway in newest for _, v in variables_of(gateway.config_type) if v.credential}
    for kind in ("web", "worker"):
        names = render_names(render_services()[kind])
        assert NEEDED | credentials <= names
        assert names <= {*variable_names(), *NOT_OURS}


def test_no_platform_switches_gunicorns_access_log_on(tmp_path: Path) -> None:
    """Without this variable, or with an empty one, Render and Heroku write each query string and Referer."""
    [group] = render()["envVarGroups"]
    [said] = [one["value"] for one in group["envVars"] if one["key"] == "GUNICORN_CMD_ARGS"]
    assert said, "Heroku replaces an empty value by its own"
    assert f"`GUNICORN_CMD_ARGS={said}`" in (ROOT / "docs/deployment.md").read_text()
    settings = environment(database_url=f"sqlite:///{tmp_path / 'payments.db'}")
    shown = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--print-config", "wsgi:app"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **settings, "GUNICORN_CMD_ARGS": said},
        capture_output=True,
        text=True,
    )
    assert re.search(r"^accesslog +(=|:) None$", shown.stdout, re.M), shown


def test_both_services_have_the_same_settings_and_a_secret_is_entered_once() -> None:
    web, worker = (render_services()[kind] for kind in ("web", "worker"))
    assert render_names(web) == render_names(worker)
    asked = {one["key"] for one in web["envVars"] if one.get("sync") is False}
    taken = {
        one["key"]: one["fromService"]
        for one in worker["envVars"]
        if one.get("fromService", {}).get("envVarKey")
    }
    assert set(taken) == asked
    assert {key: {"type": "web", "name": web["name"], "envVarKey": key} for key in taken} == taken


def test_what_the_blueprint_refers_to_is_there() -> None:
    read = render()
    there = {one["name"] for one in (*read["services"], *read["databases"], *read["envVarGroups"])}
    named = [
        one["fromGroup"] if "fromGroup" in one else (one.get("fromDatabase") or one["fromService"])["name"]
        for kind in ("web", "worker")
        for one in render_services()[kind]["envVars"]
        if "sync" not in one
    ]
    assert set(named) <= there
    assert read["previews"]["generation"] == "off", "without quotation marks YAML reads it as false"


# ── systemd ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_finds_nothing_in_the_units_and_something_in_a_bad_one(tmp_path: Path) -> None:
    """With the programs of this environment in the place of those of /opt/payments."""
    here = str(Path(sys.executable).parent)
    for unit in (*UNITS, SOCKET):
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/payments/.venv/bin", here))
    paths = [str(tmp_path / unit.name) for unit in UNITS]
    found = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    first = Path(paths[0])
    first.write_text(first.read_text().replace("ProtectHome", "ProtectHouse"))
    assert (
        "ProtectHouse"
        in subprocess.run(["systemd-analyze", "verify", paths[0]], capture_output=True, text=True).stderr
    )


def test_the_units_run_the_same_commands_as_the_procfile() -> None:
    ran = {
        unit.stem: re.findall(r"^ExecStart=/opt/payments/.venv/bin/(.+)$", unit.read_text(), re.M)
        for unit in UNITS
    }
    assert ran == {
        "payments-migrate": [COMMANDS["release"]],
        "payments-web": [COMMANDS["web"]],
        "payments-worker": [COMMANDS["worker"]],
    }


@pytest.mark.check
def test_gunicorn_tells_systemd_that_it_is_ready(tmp_path: Path) -> None:
    """Type=notify waits for that."""
    settings = environment(database_url=f"sqlite:///{tmp_path / 'payments.db'}", port=free_port())
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(place))
        told.settimeout(60)
        process = subprocess.Popen(
            [sys.executable, "-m", *COMMANDS["web"].split()],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(place), "WEB_CONCURRENCY": "1", **settings},
            stderr=subprocess.DEVNULL,
        )
        try:
            assert b"READY=1" in told.recv(1000)
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.parametrize("role", ["web", "worker"])
def test_systemd_does_not_try_again_what_its_settings_refuse(role: str, tmp_path: Path) -> None:
    """Else it starts every two seconds for ever, and its state is never the failed one that is looked for."""
    settings = environment(database_url=f"sqlite:///{tmp_path / 'payments.db'}", port=free_port())
    ended = subprocess.run(
        [sys.executable, "-m", *COMMANDS[role].removeprefix("python -m ").split()],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **settings, "SECRET_KEY": "short"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "SECRET_KEY" in ended.stderr
    said = (ROOT / f"deploy/systemd/payments-{role}.service").read_text()
    assert f"\nRestartPreventExitStatus={ended.returncode}\n" in said


def test_a_migration_restarts_no_service() -> None:
    """Requires= would: systemd restarts what requires a unit together with it."""
    for unit in UNITS:
        assert not re.search("^Requires=.*migrate", unit.read_text(), re.M)
    for role in ("web", "worker"):
        said = (ROOT / f"deploy/systemd/payments-{role}.service").read_text()
        assert re.search(r"^Wants=.*payments-migrate", said, re.M)
        assert re.search(r"^After=.*payments-migrate", said, re.M)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_runs_as_no_root_and_writes_only_where_it_keeps_its_state(unit: Path) -> None:
    said = unit.read_text()
    for line in ("User=payments", "NoNewPrivileges=yes", "ProtectSystem=strict", "StateDirectory=payments"):
        assert f"\n{line}\n" in said
