"""The Kubernetes manifests: what they refer to is there, nobody is root, and every command and probe runs here."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis

from bus.queue import queue_of
from bus.settings import load
from candlebus.sandbox import Sandbox
from producers.client import Producer
from tests.deploy.containers import (
    END_S,
    ROOT,
    Machine,
    arguments_after,
    becomes_healthy,
    documents,
    ends_when_asked,
    stages,
)

FOLDER = ROOT / "deploy/kubernetes"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
ALL: list[dict[str, Any]] = [document for path in FILES for document in documents(path)]
#: Applied apart: it needs KEDA, and series of one's own.
APART = {"autoscaling.yaml", "schedule.yaml"}


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {document["metadata"]["name"]: document for document in ALL if document["kind"] == kind}


DEPLOYMENTS = of_kind("Deployment")
PODS = {name: document["spec"]["template"]["spec"] for name, document in (DEPLOYMENTS | of_kind("StatefulSet")).items()}
CONTAINERS = {name: pod["containers"][0] for name, pod in PODS.items()}
CONTAINERS_OF = {name: [*pod["containers"], *pod.get("initContainers", [])] for name, pod in PODS.items()}
EVERY_CONTAINER = [one for containers in CONTAINERS_OF.values() for one in containers]
OURS = list(DEPLOYMENTS)


def told(container: dict[str, Any]) -> dict[str, str]:
    """The environment of a container, with what it refers to."""
    maps, secrets = of_kind("ConfigMap"), of_kind("Secret")
    env: dict[str, str] = {}
    for source in container.get("envFrom", []):
        env |= maps[source["configMapRef"]["name"]]["data"]
    for one in container.get("env", []):
        where = one["valueFrom"]["secretKeyRef"]
        env[one["name"]] = secrets[where["name"]]["stringData"][where["key"]]
    return env


def command_of(container: dict[str, Any]) -> list[str]:
    """What a container runs, with ``$(NAME)`` replaced as Kubernetes does."""
    command = container.get("command") or stages()[-1].argv("ENTRYPOINT")
    env = told(container)
    return [re.sub(r"\$\((\w+)\)", lambda found: env[found[1]], part) for part in [*command, *container["args"]]]


def probes(container: dict[str, Any]) -> list[dict[str, Any]]:
    return [probe for name, probe in container.items() if name.endswith("Probe")]


def check_of(machine: Machine, container: dict[str, Any], probe: dict[str, Any]) -> list[str]:
    if "exec" in probe:
        return list(probe["exec"]["command"])
    get = probe["httpGet"]
    assert get["port"] in [port["name"] for port in container["ports"]]
    url = f"http://127.0.0.1:{machine.metrics_port}{get['path']}"
    return ["python", "-c", f"import urllib.request as r; r.urlopen({url!r}, timeout=5)"]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with Sandbox() as sandbox:
        urls = {f"CANDLEBUS_URL_{name.upper()}": url for name, url in sandbox.urls.items()}
        host = Machine(tmp_path, urls)
        yield host
        host.end()


def test_the_whole_is_one_command_but_for_what_needs_more() -> None:
    listed = documents(FOLDER / "kustomization.yaml")[0]["resources"]
    assert sorted(listed) == sorted({path.name for path in FILES} - APART)


def test_everything_lies_in_one_namespace() -> None:
    (namespace,) = of_kind("Namespace")
    assert {document["metadata"].get("namespace", namespace) for document in ALL} == {namespace}


def test_nobody_is_root_and_nobody_writes_but_where_a_volume_is() -> None:
    for pod in PODS.values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
    for container in EVERY_CONTAINER:
        context = container["securityContext"]
        assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
        assert context["capabilities"] == {"drop": ["ALL"]}
    user, group = stages()[-1].all("USER")[-1].split(":")
    ours = {(PODS[name]["securityContext"]["runAsUser"], PODS[name]["securityContext"]["runAsGroup"]) for name in OURS}
    assert ours == {(int(user), int(group))}


def test_every_container_says_what_it_needs() -> None:
    for container in EVERY_CONTAINER:
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert set(container["resources"]["limits"]) == {"memory"}


def test_volumes_that_are_mounted_exist() -> None:
    for name, pod in PODS.items():
        claims = of_kind("StatefulSet").get(name, {}).get("spec", {}).get("volumeClaimTemplates", [])
        known = {volume["name"] for volume in pod["volumes"]} | {claim["metadata"]["name"] for claim in claims}
        mounted = {mount["name"] for one in CONTAINERS_OF[name] for mount in one["volumeMounts"]}
        assert mounted == known
        assert "/tmp" in [mount["mountPath"] for mount in CONTAINERS[name]["volumeMounts"]]


def test_pods_have_longer_to_end_than_is_promised() -> None:
    assert {pod["terminationGracePeriodSeconds"] > END_S for pod in PODS.values()} == {True}


def test_selectors_and_ports_meet_the_pods_that_they_mean() -> None:
    labels = {
        name: document["spec"]["template"]["metadata"]["labels"]
        for name, document in (DEPLOYMENTS | of_kind("StatefulSet")).items()
    }
    for name, document in (DEPLOYMENTS | of_kind("StatefulSet")).items():
        assert document["spec"]["selector"]["matchLabels"] == labels[name] == {"app": name}
    for name, service in of_kind("Service").items():
        assert service["spec"]["selector"] == labels[name]
        ports = {port["name"] for port in CONTAINERS[name]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for name, budget in of_kind("PodDisruptionBudget").items():
        assert budget["spec"]["selector"]["matchLabels"] == labels[name]
        assert budget["spec"]["maxUnavailable"] == 1  # minAvailable would hold up a drain where there is one pod
    assert of_kind("StatefulSet")["bus"]["spec"]["serviceName"] in of_kind("Service")


def test_our_pods_are_told_what_settings_know_and_where_the_server_is() -> None:
    known = {"CANDLEBUS_REDIS_URL", "CANDLEBUS_PACE", "CANDLEBUS_EGRESS", "CANDLEBUS_LOG"}
    for name in OURS:
        env = told(CONTAINERS[name])
        url = urlsplit(load(env).redis_url or "")
        assert set(env) == known
        assert url.password == told(CONTAINERS["bus"])["BUS_PASSWORD"]
        ports = {port["port"] for port in of_kind("Service")[url.hostname or ""]["spec"]["ports"]}
        assert url.port in ports
    assert CONTAINERS["bus"]["ports"][0]["containerPort"] == 6379  # the server's own default, which its command leaves
    metrics = CONTAINERS["metrics"]
    assert arguments_after(metrics["args"], "--port") == str(metrics["ports"][0]["containerPort"])


def test_workers_scale_by_the_queue_that_they_serve(redis: Redis) -> None:
    triggers = of_kind("TriggerAuthentication")
    for name, scaled in of_kind("ScaledObject").items():
        spec = scaled["spec"]
        exchange = CONTAINERS[name]["args"][-1]
        assert spec["scaleTargetRef"]["name"] == name
        assert "replicas" not in DEPLOYMENTS[name]["spec"], "applying it would undo the scaling"
        assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"]
        (trigger,) = spec["triggers"]
        told_by = trigger["metadata"]
        assert told_by["listName"] == queue_of(exchange, redis).key
        assert told_by["databaseIndex"] == "0"
        assert told_by["address"] == "bus.candlebus.svc:6379"
        Producer(redis).enqueue(f"{exchange}:BTC/USDT:USDT", "1m", limit=5)
        assert redis.llen(told_by["listName"]) == 1
        (secret,) = triggers[trigger["authenticationRef"]["name"]]["spec"]["secretTargetRef"]
        assert secret["key"] in of_kind("Secret")[secret["name"]]["stringData"]


@pytest.mark.slow
def test_every_pod_starts_by_its_command_passes_its_probes_and_ends_when_asked(
    machine: Machine, tmp_path: Path
) -> None:
    places = {path: str(tmp_path / path[1:]) for path in ("/data", "/wrapper")}
    for path in places.values():
        Path(path).mkdir()
    places["/usr/local/bin"] = str(ROOT / "bus/scripts")  # where the image has it
    (wrapper,) = PODS["bus"]["initContainers"]
    assert machine.check(machine.argv(wrapper["command"], places), {}) == 0
    bus = CONTAINERS["bus"]
    server = machine.start([*machine.argv(command_of(bus), places), "--port", str(machine.bus_port)], told(bus))
    running = {name: machine.start(machine.argv(command_of(CONTAINERS[name])), told(CONTAINERS[name])) for name in OURS}
    for name, container in CONTAINERS.items():
        checks = [check_of(machine, container, probe) for probe in probes(container)]
        assert checks
        for check in [check for place, check in enumerate(checks) if check not in checks[:place]]:
            assert becomes_healthy(machine, check, told(container)), f"{name}: {machine.log()}"
    assert machine.check(["sh", "-c", "valkey-cli ping | grep -q PONG"], {}) == 1, "it asks for the password"
    with Redis(port=machine.bus_port, password=told(bus)["BUS_PASSWORD"]) as redis:
        assert redis.config_get("appendfsync") == {"appendfsync": "always"}
        assert Producer(redis).enqueue("bingx:BTC/USDT:USDT", "30m", limit=5).wait(30).state == "done"
    assert {name: ends_when_asked(process) for name, process in running.items()} == dict.fromkeys(OURS, True)
    assert ends_when_asked(server)
