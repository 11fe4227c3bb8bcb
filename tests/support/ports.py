"""Free ports and waiting for them."""

import socket
import subprocess
import time


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def is_open(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def wait_for_silence(port: int, seconds: float = 20) -> None:
    """Until nobody listens any more: killed workers keep a socket a moment longer than their master."""
    ends = time.monotonic() + seconds
    while is_open(port):
        if time.monotonic() > ends:
            raise TimeoutError(f"somebody still listens on {port} after {seconds} s")
        time.sleep(0.05)


def wait_for_port(
    port: int, process: "subprocess.Popen[bytes]", seconds: float = 20, host: str = "127.0.0.1"
) -> None:
    ends = time.monotonic() + seconds
    while not is_open(port, host):
        if process.poll() is not None:
            raise RuntimeError(f"the process ended with {process.returncode} before it listened")
        if time.monotonic() > ends:
            raise TimeoutError(f"nothing listens on {port} after {seconds} s")
        time.sleep(0.05)
