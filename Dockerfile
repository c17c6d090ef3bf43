# One image for every part; docker-compose.yml says which command each service runs.
#
# To be reached from outside its container the gateway needs TECHAURA_SYNC_HTTP_HOST=0.0.0.0, and
# TECHAURA_SYNC_ALLOW_OPEN_LISTEN=true, since it asks nobody who they are: publish the port on 127.0.0.1 alone. It then answers for localhost
# and any IP address; a name that callers use must stand in TECHAURA_SYNC_GATEWAY_ALLOWED_HOSTS.
#
# The first stage has the build tools, the second only the finished environment and a user without rights.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/techaura-sync
ENV PATH=/opt/techaura-sync/bin:$PATH
WORKDIR /src
# Dependencies first: this layer is built again only when a pin changes.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN pip install --require-hashes -r requirements/build.txt \
 && pip install --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY clients/python clients/python
COPY server server
COPY gateway gateway
COPY db db
RUN pip install --no-deps --no-build-isolation ./clients/python . \
 && pip uninstall --yes setuptools pip

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/techaura-sync --create-home techaura
COPY --from=build /opt/techaura-sync /opt/techaura-sync
ENV PATH=/opt/techaura-sync/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
# The embedded database, when no other is configured, is made in here.
WORKDIR /var/lib/techaura-sync
CMD ["techaura-syncd", "serve"]
