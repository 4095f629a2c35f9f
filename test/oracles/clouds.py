"""The simulated clouds, started once for the whole run, and the vendors' clients that talk to them."""

import json
import pathlib
import subprocess
import time
import urllib.request

from alibabacloud_elasticsearch20170613.client import Client as ElasticsearchClient
from alibabacloud_tea_openapi.utils_models import Config
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.client import Client
from huaweicloudsdkcore.http.http_config import HttpConfig

HERE = pathlib.Path(__file__).parent
# Upgrades of these clouds take one or two seconds; a machine that is busy may take its time.
PATIENCE_S = 60
POLL_S = 0.2

_process = subprocess.Popen(
    ["node", str(HERE / "simulator.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
)
_line = _process.stdout.readline()
if not _line:
    raise SystemExit("the simulator did not start: its reason stands above")
_started = json.loads(_line)
URL: str = _started["url"]
KEYS: dict[str, dict] = _started["keys"]


def stop() -> None:
    _process.stdin.close()
    _process.wait()


def simulator(what: str):
    """`truth` or `inventory`, as the simulator itself has it."""
    with urllib.request.urlopen(f"{URL}/_simulator/{what}") as answer:
        return json.load(answer)


# What a resource's own reads call it while it may be upgraded.
READY = {"200", "active", "Available", "RUNNING"}
# Resources whose upgrade was asked for once more while it ran, to see that refused.
ASKED_WHILE_RUNNING: set[str] = set()
# Resources whose upgrade failed and was then asked for again.
RETRIED: set[str] = set()

_taken: set[str] = set()


def take(family: str, fate: str = "succeeds", holding: str = "") -> dict:
    """A resource that no other test has touched, whose version holds a word."""
    for resource in simulator("inventory"):
        fits = (resource["family"], resource["fate"]) == (family, fate) and resource["status"] in READY
        if fits and holding in resource["version"] and resource["id"] not in _taken:
            _taken.add(resource["id"])
            return resource
    raise AssertionError(f"the simulator has no {family} left whose upgrade {fate}")


def all_of(family: str) -> set[str]:
    return {resource["id"] for resource in simulator("inventory") if resource["family"] == family}


def huawei(client: type[Client], key: str = "huawei") -> Client:
    keys = KEYS[key]
    credentials = BasicCredentials(keys["accessKeyId"], keys["secret"], keys["owner"])
    if "securityToken" in keys:
        credentials.with_security_token(keys["securityToken"])
    config = HttpConfig.get_default_config()
    config.timeout = (PATIENCE_S, PATIENCE_S)
    return client.new_builder().with_http_config(config).with_credentials(credentials).with_endpoint(URL).build()


def alibaba(key: str = "alibaba") -> ElasticsearchClient:
    keys = KEYS[key]
    return ElasticsearchClient(
        Config(
            access_key_id=keys["accessKeyId"],
            access_key_secret=keys["secret"],
            security_token=keys.get("securityToken"),
            endpoint=URL.removeprefix("http://"),
            protocol="http",
            read_timeout=PATIENCE_S * 1000,
            connect_timeout=PATIENCE_S * 1000,
        )
    )


def until(read, holds):
    """Reads until it holds; gives every answer that was read. The last one is the one that holds."""
    deadline = time.monotonic() + PATIENCE_S
    answers = [read()]
    while not holds(answers[-1]):
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {PATIENCE_S} s; the last answer was {answers[-1]}")
        time.sleep(POLL_S)
        answers.append(read())
    return answers
