"""The SAM command line, on a machine without a container engine.

    ~/.cache/countersign/sam-*/bin/python infra/sam-lint/undocked.py local invoke PagesFunction --event events/pages.json

This runs SAM's own code, which reads template.yaml, samconfig.toml and the file of environment variables, finds the function or
the routes, and makes the environment and the event. Only the container is replaced. SAM would start a container that runs
aws-lambda-rie with the built function. This program starts aws-lambda-rie, which is part of SAM's package, on this machine. The
tests in the folder functions use it. If you have Docker, use "sam" instead.
"""

import os
import platform
import socket
import subprocess
import sys
import time
import types
import urllib.request

import samcli
from samcli.cli.main import cli
from samcli.local.docker.container_client_factory import ContainerClientFactory
from samcli.local.lambdafn.runtime import LambdaRuntime

HOST = "host.docker.internal"  # the name of the machine that a container runs on
STARTING = 30  # how many seconds the emulator may take until it listens


def free_address():
    """Returns an address of this machine at which nobody listened a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % s.getsockname()[1]


def emulator():
    """Returns the path of aws-lambda-rie for this machine, in SAM's package."""
    machine = {"aarch64": "arm64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())
    return os.path.join(os.path.dirname(samcli.__file__), "local", "rapid", "aws-lambda-rie-" + machine)


def wait_for(address, process):
    """Waits until a process listens at an address."""
    host, port = address.split(":")
    end = time.monotonic() + STARTING
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError("aws-lambda-rie doesn't listen")


def invoke(self, function_config, event, tenant_id=None, stdout=None, stderr=None, extra_hosts=None, **_):
    """Replaces LambdaRuntime.invoke. It starts a process for one event."""
    outer, inner = free_address(), free_address()
    command = [emulator(), "--log-level", "error", "--runtime-interface-emulator-address", outer,
               "--runtime-api-address", inner, os.path.join(function_config.code_abs_path, "bootstrap")]
    environment = function_config.env_vars.resolve()
    if (extra_hosts or {}).get(HOST) == "host-gateway":  # the container would run on this machine
        environment = {name: value.replace("//" + HOST + ":", "//127.0.0.1:") for name, value in environment.items()}
    environment["PATH"] = os.environ["PATH"]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr)
    try:
        wait_for(outer, process)
        url = "http://" + outer + "/2015-03-31/functions/function/invocations"
        asked = urllib.request.Request(url, data=event.encode(), method="POST")
        with urllib.request.urlopen(asked, timeout=function_config.timeout + 5) as answer:
            stdout.write_str(answer.read().decode())
            stdout.flush()
    finally:
        process.terminate()  # it ends the function too
        process.wait()


ContainerClientFactory.create_client = lambda: types.SimpleNamespace(events=lambda **_: iter(()))
LambdaRuntime.invoke = invoke
os.environ["SAM_CLI_TELEMETRY"] = "0"
cli(prog_name="sam")
