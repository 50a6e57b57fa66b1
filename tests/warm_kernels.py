"""Jupyter kernels that begin warm: forks of one process that has imported what a kernel needs.

A new interpreter takes half a second of the processor for that. A fork shares nothing with the others, and
nothing of ours, and nothing that asks at its import where it runs (fastcore, nbdev), is imported before it.
"""

import gc
import json
import os
import signal
import subprocess
import sys
from typing import Any, NoReturn

from jupyter_client import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

HAVE_FORK = sys.platform == "linux"  # on macOS a fork may not use what was imported


class Kernel:
    """What jupyter_client needs to know of a process: a small `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, zygote: "Zygote", pid: int) -> None:
        self._zygote, self.pid = zygote, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._zygote.ask(ended=self.pid)
        return self.returncode

    wait = poll  # is called when it has ended

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Zygote:
    """The process that all kernels are forks of. It ends with `close`, or with this process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, **order: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()

    def manager(self) -> type[AsyncKernelManager]:
        """For nbclient: what starts a kernel."""
        zygote = self

        class Provisioner(LocalProvisioner):
            async def launch_kernel(self, cmd: list[str], **given: Any) -> Any:
                started = zygote.ask(command=cmd, env=given["env"], folder=given["cwd"])
                self.process = Kernel(zygote, started)
                self.pid = self.pgid = started  # it leads a group of its own
                return self.connection_info

        class Manager(AsyncKernelManager):
            def __init__(self, **options: Any) -> None:
                super().__init__(**options)
                spec = self.kernel_spec
                self.provisioner = Provisioner(kernel_spec=spec, parent=self)

        return Manager


# --- the zygote itself ---------------------------------------------------------------------------


def main() -> None:
    """Obeys one order a line, until its input ends."""
    sys.path.remove(os.path.dirname(__file__))  # no kernel sees the tests
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # Jupyter goes without
    import asyncio, sqlite3, ssl  # noqa: E401, F401

    import ipykernel.kernelapp, ipykernel.zmqshell, msgspec  # noqa: E401, F401

    assert len(os.listdir("/proc/self/task")) == 1, "only one thread survives a fork"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever has started us ends us
    gc.collect()
    gc.freeze()
    for line in sys.stdin.buffer:
        order = json.loads(line)
        if "ended" in order:
            pid, status = os.waitpid(order["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif not (answer := os.fork()):
            be_a_kernel(**order)
        print(json.dumps(answer), flush=True)


def be_a_kernel(command: list[str], env: dict[str, str], folder: str) -> NoReturn:
    """As `python -m ipykernel_launcher ...` begins."""
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nobody, ours = os.pipe()
    os.close(ours)
    os.dup2(nobody, 0)
    os.close(nobody)
    os.dup2(2, 1)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = command
    mine = f"--IPKernelApp.parent_handle={os.getppid()}"
    IPKernelApp.launch_instance([*command[3:], mine])
    sys.exit()


if __name__ == "__main__":
    main()
