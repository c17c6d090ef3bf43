"""docker-compose.yml and the Dockerfile against the code they start: commands, settings, ports, files.

There is no Docker engine where the tests run, so what is checked is that the files agree with the code.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet
from pydantic_settings import BaseSettings
from sqlalchemy import make_url

from gateway.app import ROUTES
from gateway.callers import AllowedHosts
from gateway.config import GatewaySettings
from server.cli import app
from server.core.config import Settings
from tests.support.database_server import DatabaseServer
from tests.support.grants import FIRST_START
from tests.support.story import story_on

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "TECHAURA_SYNC_"
REQUIRED = {
    "MYSQL_ROOT_PASSWORD": "rootpassword",
    "MYSQL_PASSWORD": "password",
    "TECHAURA_SYNC_SECRET_KEY": Fernet.generate_key().decode("ascii"),
}
SETTINGS: dict[str, type[BaseSettings]] = {"server": Settings, "gateway": GatewaySettings}


@pytest.fixture
def compose() -> dict[str, Any]:
    """The compose file as it stands."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def dockerfile() -> list[list[str]]:
    """The Dockerfile's instructions, continuation lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def substituted(value: str, given: dict[str, str]) -> str:
    """A value as compose passes it on: `${NAME:?text}` needs the variable, `${NAME:-default}` does not."""

    def replace(match: re.Match[str]) -> str:
        name, operator, rest = match.group("name", "operator", "rest")
        return given.get(name, rest) if operator == ":-" else given[name]

    return re.sub(r"\$\{(?P<name>\w+)(?P<operator>:-|:\?)(?P<rest>[^}]*)\}", replace, value)


def container_settings(
    compose: dict[str, Any], service: str, kind: type[BaseSettings], monkeypatch: pytest.MonkeyPatch
) -> BaseSettings:
    """The settings that the program of a service reads inside its container."""
    for name, value in compose["services"][service]["environment"].items():
        monkeypatch.setenv(name, substituted(value, REQUIRED))
    return kind()


def test_only_the_gateway_is_published_and_only_on_loopback(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}

    port = GatewaySettings.model_fields["http_port"].default
    assert published == {"gateway": [f"127.0.0.1:{port}:{port}"]}


@pytest.mark.parametrize("service", ["server", "gateway"])
def test_each_service_runs_a_command_that_exists(compose: dict[str, Any], service: str) -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}

    program, command = compose["services"][service]["command"]
    assert program == "techaura-syncd"
    assert command == service
    assert command in known


@pytest.mark.parametrize("service", ["server", "gateway"])
def test_each_environment_name_is_a_setting(compose: dict[str, Any], service: str) -> None:
    own = {PREFIX + name.upper() for name in SETTINGS[service].model_fields}
    # Every program logs and listens, and reads the one setting for it.
    own |= {"TECHAURA_SYNC_LOG_LEVEL", "TECHAURA_SYNC_ALLOW_OPEN_LISTEN"}

    assert set(compose["services"][service]["environment"]) <= own


def test_the_server_reads_the_data_folder_and_the_database_of_the_file(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = container_settings(compose, "server", Settings, monkeypatch)

    assert isinstance(settings, Settings)
    assert settings.data_root_paths == (Path("/data"),)
    assert "./data:/data:ro" in compose["services"]["server"]["volumes"]
    mysql = compose["services"]["mysql"]
    url = make_url(settings.database_url.get_secret_value())
    assert (url.drivername, url.host, url.port) == ("mysql+aiomysql", "mysql", 3306)
    assert url.database == mysql["environment"]["MYSQL_DATABASE"]
    assert url.password == REQUIRED["MYSQL_PASSWORD"]
    assert f"CREATE USER {url.username}@'%' IDENTIFIED BY '{url.password}'" in user_statements(url.password)
    assert "./deploy/mysql:/docker-entrypoint-initdb.d:ro" in mysql["volumes"]
    assert "MYSQL_USER" not in mysql["environment"]


def user_statements(password: str) -> list[str]:
    """What the script of the compose file has the image run, statement by statement."""
    # The entrypoint's function, which hands its input to the server, here shows it.
    script = 'docker_process_sql() { cat; }; source "$0"'
    done = subprocess.run(
        ["bash", "-euc", script, str(ROOT / "deploy" / "mysql" / "10-user.sh")],
        env={"TECHAURA_MYSQL_PASSWORD": password, "PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
        text=True,
    )
    return [" ".join(statement.split()) for statement in done.stdout.split(";") if statement.strip()]


async def test_the_user_of_the_file_has_the_privileges_of_the_guide_and_they_do(
    database_server: DatabaseServer, tmp_path: Path
) -> None:
    made, granted = user_statements("secret")
    assert granted == f"GRANT {', '.join(FIRST_START)} ON techaura.* TO techaura@'%'"
    assert made == "CREATE USER techaura@'%' IDENTIFIED BY 'secret'"
    name, user = database_server.new_database(privileges=()), f"u_{uuid.uuid4().hex[:8]}"
    for statement in (made, granted):
        database_server.execute(statement.replace("techaura@", f"{user}@").replace("ON techaura.", f"ON {name}."))
    url = database_server.url(name, user=user, password="secret")
    async with story_on(database_server, url, name, tmp_path) as story:
        await story.tell()


def test_defaults_in_the_file_are_the_defaults_of_the_code(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = container_settings(compose, "server", Settings, monkeypatch)

    for field in ("time_zone", "retry_cron", "log_level"):
        assert getattr(settings, field) == Settings.model_fields[field].default


def test_the_gateway_calls_the_server_on_its_port(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    server = container_settings(compose, "server", Settings, monkeypatch)
    gateway = container_settings(compose, "gateway", GatewaySettings, monkeypatch)

    assert isinstance(server, Settings)
    assert isinstance(gateway, GatewaySettings)
    assert gateway.grpc_target == f"server:{server.grpc_port}"
    # Another container is another host: loopback would be its own.
    assert (server.grpc_host, gateway.http_host) == ("0.0.0.0", "0.0.0.0")
    assert server.allow_open_listen
    assert compose["services"]["gateway"]["environment"]["TECHAURA_SYNC_ALLOW_OPEN_LISTEN"] == "true"
    assert set(compose["services"]["server"]["networks"]) & set(compose["services"]["gateway"]["networks"])


def test_the_gateway_answers_for_every_name_that_reaches_its_container(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = container_settings(compose, "gateway", GatewaySettings, monkeypatch)

    assert isinstance(gateway, GatewaySettings)
    hosts = AllowedHosts(gateway.http_host, gateway.gateway_allowed_hosts)
    # Over the published port, in the health check, from the other containers, and by the container's own address.
    for host in ("localhost:3006", "127.0.0.1:3006", "gateway:3006", "172.18.0.4:3006"):
        assert hosts.allows(host), host
    assert not hosts.allows("evil.example:3006")


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    text = json.dumps(compose)

    for name in REQUIRED:
        assert re.findall(rf"\$\{{{name}(.{{2}})", text), name
        assert set(re.findall(rf"\$\{{{name}(.{{2}})", text)) == {":?"}, name


def test_mysql_lets_the_loader_work_and_is_reached_by_the_server_alone(compose: dict[str, Any]) -> None:
    mysql = compose["services"]["mysql"]

    assert mysql["image"] == "mysql:8.4"
    assert {"--local-infile=ON", "--character-set-server=utf8mb4"} <= set(mysql["command"])
    on_its_network = {
        name for name, service in compose["services"].items() if set(service["networks"]) & set(mysql["networks"])
    }
    assert on_its_network == {"mysql", "server"}


def test_health_checks_ask_what_the_code_answers(compose: dict[str, Any]) -> None:
    services = compose["services"]
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}

    assert services["server"]["healthcheck"]["test"][:2] == ["CMD", "techaura-syncd"]
    assert services["server"]["healthcheck"]["test"][2] in known
    path = re.search(r"http://127\.0\.0\.1:3006(/\w+)", services["gateway"]["healthcheck"]["test"][-1])
    assert path is not None
    assert path[1] in {route.path for route in ROUTES}
    assert "mysqladmin ping" in services["mysql"]["healthcheck"]["test"][1]
    assert services["server"]["depends_on"] == {"mysql": {"condition": "service_healthy"}}
    assert services["gateway"]["depends_on"] == {"server": {"condition": "service_healthy"}}


def test_a_container_is_given_longer_to_stop_than_the_program_takes(compose: dict[str, Any]) -> None:
    longest = Settings.model_fields["shutdown_timeout_seconds"].default

    for service in SETTINGS:
        grace = compose["services"][service]["stop_grace_period"]
        assert int(grace.removesuffix("s")) > longest


def test_the_image_installs_hashed_pins_and_runs_without_rights(dockerfile: list[list[str]]) -> None:
    installs = [line for line in dockerfile if line[0] == "RUN" and "requirements/runtime.txt" in line]
    stages = [line for line in dockerfile if line[0] == "FROM"]
    users = [line[1] for line in dockerfile if line[0] == "USER"]

    assert all("--require-hashes" in line for line in installs)
    assert len(installs) == 1
    assert len(stages) > 1
    assert users
    assert users[-1] not in ("0", "root")
    assert " ".join(dockerfile[-1]) == 'CMD ["techaura-syncd", "serve"]'


def test_everything_that_the_image_copies_is_there_and_not_ignored(dockerfile: list[list[str]]) -> None:
    copies = [line[1:-1] for line in dockerfile if line[0] == "COPY" and not line[1].startswith("--from")]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    for path in [path for sources in copies for path in sources]:
        assert (ROOT / path).exists(), path
        assert any(path == name or path.startswith(f"{name}/") for name in allowed), path


def test_the_image_has_every_package_of_the_program(dockerfile: list[list[str]]) -> None:
    copied = {line[1] for line in dockerfile if line[0] == "COPY" and len(line) == 3}

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.removesuffix("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages
    assert packages <= copied


def test_build_pins_are_those_of_the_development_environment() -> None:
    build = (ROOT / "requirements" / "build.txt").read_text(encoding="utf-8")
    pins = [line for line in build.splitlines() if line and not line.startswith("#")]

    development = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8").splitlines()
    assert pins
    assert set(pins) <= set(development)
    assert pins[0].startswith("setuptools==")
