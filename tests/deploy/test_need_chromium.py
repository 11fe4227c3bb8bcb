"""`make test` gets a browser by itself: one that is there, the system's packages, Playwright's own."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "need-chromium.sh"


class Machine:
    """A PATH of our own, whose programs note that they were called."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "programs"
        self.venv = folder / "venv"
        self.calls = folder / "calls"
        self.programs.mkdir()
        (self.venv / "bin").mkdir(parents=True)
        self.calls.touch()
        for needed in ("sh", "env"):
            (self.programs / needed).symlink_to(f"/bin/{needed}" if needed == "sh" else "/usr/bin/env")

    def has(self, name: str, does: str = "exit 0") -> None:
        self._write(self.programs / name, name, does)

    def has_python(self, does: str) -> None:
        self._write(self.venv / "bin" / "python", "python", does)

    def is_root(self, is_root: bool) -> None:
        self._write(self.programs / "id", "", f"echo {0 if is_root else 1000}")

    def _write(self, path: Path, name: str, does: str) -> None:
        note = f'echo "{name} $*" >> {self.calls}\n' if name else ""
        path.write_text(f"#!/bin/sh\n{note}{does}\n")
        path.chmod(0o755)

    def run(self, **variables: str) -> "subprocess.CompletedProcess[str]":
        env = {"PATH": str(self.programs), "MAC_CHROME": "/nowhere", **variables}
        return subprocess.run(
            ["/bin/sh", str(SCRIPT), str(self.venv)], env=env, capture_output=True, text=True, timeout=30
        )

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.is_root(False)
    made.has_python("exit 1")
    return made


def installs(machine: Machine) -> str:
    """An apt-get that brings a browser with `install`, and knows no chromium-headless-shell."""
    browser = machine.programs / "chromium"
    return f'case "$*" in *shell) exit 100;; install*) : > {browser}; /bin/chmod 755 {browser};; esac'


@pytest.mark.parametrize(
    "name",
    ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
)
def test_a_browser_that_is_there_is_enough(machine: Machine, name: str) -> None:
    machine.has(name)
    machine.has("apt-get")
    assert machine.run().returncode == 0
    assert machine.called() == []


def test_one_that_is_named_is_enough(machine: Machine) -> None:
    machine.has("my-chrome")
    assert machine.run(CHROMIUM=str(machine.programs / "my-chrome")).returncode == 0
    assert machine.called() == []


def test_root_installs_the_systems_package(machine: Machine) -> None:
    machine.is_root(True)
    machine.has("apt-get", installs(machine))
    assert machine.run().returncode == 0
    assert machine.called() == [
        "apt-get update -qq",
        "apt-get install -qq -y --no-install-recommends chromium-headless-shell",
        "apt-get install -qq -y --no-install-recommends chromium",
    ]


def test_the_browser_without_a_window_is_enough(machine: Machine) -> None:
    machine.is_root(True)
    shell = machine.programs / "chromium-headless-shell"
    machine.has("apt-get", f'case "$*" in *shell) : > {shell}; /bin/chmod 755 {shell};; esac')
    assert machine.run().returncode == 0
    assert machine.called()[1:] == ["apt-get install -qq -y --no-install-recommends chromium-headless-shell"]


def test_another_user_installs_it_by_sudo_that_asks_no_password(machine: Machine) -> None:
    machine.has("sudo", 'shift; exec "$@"')
    machine.has("true")
    machine.has("apt-get", installs(machine))
    assert machine.run().returncode == 0
    assert "apt-get install -qq -y --no-install-recommends chromium" in machine.called()
    assert all(call.startswith(("sudo -n ", "apt-get ", "true")) for call in machine.called())


@pytest.mark.parametrize(
    ("is_root", "apt", "sudo"),
    [
        (True, None, None),
        (True, "exit 100", None),
        (True, "exit 0", None),  # installed, and still no browser of a name that is known
        (False, "exit 0", None),
        (False, "exit 0", "exit 1"),
        (False, None, "exit 0"),
    ],
)
def test_else_playwright_brings_its_own(
    machine: Machine, is_root: bool, apt: str | None, sudo: str | None
) -> None:
    machine.is_root(is_root)
    if apt:
        machine.has("apt-get", apt)
    if sudo:
        machine.has("sudo", sudo)
    machine.has_python("exit 0")
    assert machine.run().returncode == 0
    assert "python -m playwright install chromium" in machine.called()


@pytest.mark.parametrize("does", ["exit 1", '[ "$1" = -m ]'], ids=["no download", "does not start"])
def test_only_when_all_three_are_impossible_a_sentence_says_what_to_do(machine: Machine, does: str) -> None:
    machine.has_python(does)
    ended = machine.run()
    assert ended.returncode == 1
    [sentence] = ended.stderr.splitlines()
    assert "sudo apt-get install chromium" in sentence
    assert "CHROMIUM=/path/to/chrome make test" in sentence


def test_a_failed_download_of_the_lists_does_not_stop_the_installation(machine: Machine) -> None:
    machine.is_root(True)
    machine.has("apt-get", f"{installs(machine)}\n[ $1 = install ]")
    assert machine.run().returncode == 0
