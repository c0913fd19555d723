"""Tries each line with which the guides deploy, with SAM itself, as far as it goes without AWS. Run by .ci/template."""

import http.server
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from xml.sax.saxutils import escape

import click
from samcli.cli.main import cli as sam
from samcli.commands.deploy.command import cli as deploy
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = (
    "export AWS_REGION=eu-north-1 PAYMENTS_TABLE=cryptogap-PaymentsTable-D3575515A81C7 KEYS_TABLE=keys "
    "ACCOUNTS_TABLE=accounts ADDRESSES_TABLE=addresses CHAINS_TABLE=chains "
    "CHAINS='[{\"chain\":\"ethereum\", \"family\":\"evm\"}]'"
)
TOLD = ["AWS_REGION", "PAYMENTS_TABLE", "KEYS_TABLE", "ACCOUNTS_TABLE", "ADDRESSES_TABLE", "CHAINS_TABLE", "CHAINS"]


def main():
    template = yaml_parse((ROOT / "template.yaml").read_text())
    blocks = [block for guide in ("README.md", "docs/operating.md") for block in shell_blocks(guide)]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    deploys = [parse(line) for line in lines if line.startswith("sam deploy")]
    expect(len(deploys) >= 4, "the guides deploy")
    for given in deploys:
        expect(not given["guided"], "`--guided` cannot be completed")
        for name, value in (given["parameter_overrides"] or {}).items():
            check_parameter(name, value, template["Parameters"])
    named = [json.loads(d["parameter_overrides"]["RpcUrls"]) for d in deploys if "RpcUrls" in (d["parameter_overrides"] or {})]
    expect(named and all({"bitcoin", "litecoin"} == set(urls) for urls in named), "the guide names the nodes of both")
    check_settings([block for block in blocks if "sam list stack-outputs" in block])
    print("deploying: clean")


def shell_blocks(guide):
    return re.findall(r"```sh\n(.*?)```", (ROOT / guide).read_text(), re.DOTALL)


def parse(line):
    """What SAM's own command line understands, with its configuration file."""
    words = shlex.split(line)
    return deploy.make_context("deploy", words[2:], parent=click.Context(sam, info_name="sam")).params


def check_parameter(name, value, parameters):
    expect(name in parameters, f"{name} is a parameter")
    pattern = parameters[name].get("AllowedPattern")
    expect(pattern is None or re.fullmatch(pattern, str(value)), f"{name} takes {value!r}")


def check_settings(blocks):
    """The line that sets the operator's variables, run in a shell against a CloudFormation of our own."""
    expect(len(blocks) == 1, "the guide says how to set the operator's variables")
    server = http.server.HTTPServer(("127.0.0.1", 0), CloudFormation)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "eu-north-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "SAM_CLI_TELEMETRY": "0",
    }
    tell = "; ".join(f'printf "%s\\n" "${name}"' for name in TOLD)
    shell = ["bash", "-euc", f"{blocks[0]}\n{tell}"]
    done = subprocess.run(shell, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    expect(done.returncode == 0, done.stderr)
    expected = dict(word.split("=", 1) for word in shlex.split(SETTINGS)[1:])
    expect(done.stdout.splitlines() == [expected[name] for name in TOLD], done.stdout)


class CloudFormation(http.server.BaseHTTPRequestHandler):
    """Knows one stack with its outputs, and says who asks."""

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        action = re.search(r"Action=(\w+)", asked).group(1)
        body = f"<{action}Response><{action}Result>{RESULTS.get(action, '')}</{action}Result></{action}Response>"
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


RESULTS = {
    "GetCallerIdentity": "<Arn>arn:aws:iam::1:root</Arn><UserId>1</UserId><Account>1</Account>",
    "DescribeStacks": (
        "<Stacks><member><StackName>cryptogap</StackName><StackStatus>CREATE_COMPLETE</StackStatus>"
        "<CreationTime>2026-01-01T00:00:00Z</CreationTime><Outputs>"
        "<member><OutputKey>BaseUrl</OutputKey><OutputValue>https://a.example</OutputValue></member>"
        f"<member><OutputKey>OperatorSettings</OutputKey><OutputValue>{escape(SETTINGS)}</OutputValue></member>"
        "</Outputs></member></Stacks>"
    ),
}


def expect(is_so, what):
    if not is_so:
        sys.exit(f"deploying: not so: {what}")


main()
