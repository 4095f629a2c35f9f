"""Calls through the vendors' clients, each answer compared with the vendor's own model of it."""

import dataclasses
import re
import urllib.parse

import requests
from alibabacloud_elasticsearch20170613 import models as elasticsearch_models

import vendor_models

# Fields that a model declares and no upgrade's answer can hold: call and pattern, and the reason. Nothing else may be
# missing.
EXCEPTIONS: dict[tuple[str, str], str] = {
    (r"ges/.*Job.*", r"(job_?[lL]ist\[\]\.)?job_?[dD]etail\b.*"): "of a job that imports data",
    (r"dcs/v2/ListBackgroundTask", r"tasks\[\]\.details\b.*"): "of tasks that change capacity, ports or accounts",
    (r"ges/v1/ListJobs", r"error(Code|Message)"): "the document's own errCode and externalMessage instead",
}

# Fields that no model declares and that are answered all the same, with the reason.
UNDECLARED: dict[tuple[str, str], str] = {
    (r"cse/v1/ShowEngine", r"tags"): "Huawei's own Terraform provider reads it",
    (r"dcs/v2/(ShowInstance|ListInstances)", r"(instances\[\]\.)?task"): "Huawei's own Terraform provider reads it",
}


@dataclasses.dataclass
class Call:
    """One API of a vendor: where it is, what its model declares, and what the answers so far have held."""

    name: str
    where: str
    declared: vendor_models.Declaration
    times: int = 0
    seen: set[str] = dataclasses.field(default_factory=set)
    problems: set[str] = dataclasses.field(default_factory=set)

    @property
    def wanted(self) -> list[str]:
        return list(vendor_models.paths(self.declared))

    @property
    def excepted(self) -> dict[str, str]:
        """Fields without which the call is complete, each with its reason."""
        return {
            path: reason
            for (calls, pattern), reason in EXCEPTIONS.items()
            for path in self.wanted
            if path not in self.seen and re.fullmatch(calls, self.name) and re.fullmatch(pattern, path)
        }

    @property
    def missing(self) -> list[str]:
        excepted = self.excepted
        return [path for path in self.wanted if path not in self.seen and path not in excepted]


CALLS: dict[str, Call] = {}

_last: requests.Response | None = None
_send = requests.Session.send


def _recorded(session, request, **options):
    global _last
    _last = _send(session, request, **options)
    return _last


# Both vendors' clients send by `requests`; what their models drop is seen only here.
requests.Session.send = _recorded


def huawei(client, method: str, request):
    """Calls `client.method(request)`; the answer is compared whether it is a success or an error."""
    info = getattr(client, f"_{method}_http_info")(request)
    package = client.model_package
    service, version = package.__name__.removeprefix("huaweicloudsdk").split(".")[:2]
    model = getattr(package, info["response_type"])
    name = f"{service}/{version}/{info['response_type'].removesuffix('Response')}"
    query = urllib.parse.urlencode([pair for pair in info["query_params"] if pair[0] == "action_id"])
    where = f"{info['method']} {info['resource_path']}{'?' + query if query else ''}"
    call = CALLS.setdefault(name, Call(name, where, vendor_models.of_huawei(model, package)))
    return _compared(call, lambda: getattr(client, method)(request))


def elasticsearch(client, method: str, instance_id: str | None, *request):
    """Calls `client.method(instance_id, request)`; gives the answer's body as the vendor's model."""
    operation = "".join(word.capitalize() for word in method.split("_"))
    declared = vendor_models.of_alibaba(getattr(elasticsearch_models, f"{operation}ResponseBody"))
    arguments = [argument for argument in (instance_id, *request) if argument is not None]
    name = f"elasticsearch/{operation}"
    call = CALLS.setdefault(name, Call(name, "", declared))
    body = _compared(call, lambda: getattr(client, method)(*arguments)).body
    path = urllib.parse.urlsplit(_last.request.url).path
    call.where = f"{_last.request.method} {path.replace(instance_id or '', '{InstanceId}') if instance_id else path}"
    return body


def _compared(call: Call, run):
    global _last
    _last = None
    try:
        return run()
    finally:
        if _last is not None:
            call.times += 1
            _compare(call, _last)


def _compare(call: Call, answer: requests.Response) -> None:
    for verdict, path in vendor_models.compare(call.declared, answer.json()):
        if verdict == "seen":
            call.seen.add(path)
        # An error has an envelope of its own, of which only GES v1's models know.
        elif answer.ok and not _is_known(call.name, path, verdict):
            call.problems.add(f"{path} {verdict}")


def _is_known(name: str, path: str, verdict: str) -> bool:
    return verdict == vendor_models.UNDECLARED and any(
        re.fullmatch(calls, name) and re.fullmatch(pattern, path) for calls, pattern in UNDECLARED
    )


def last_body() -> dict:
    """The last answer as it came, whatever the client made of it."""
    return _last.json()
