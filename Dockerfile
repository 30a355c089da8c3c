# Headroom as an image: the API with an embedded worker by default, any of its commands by argument.
#
#   TORCH_INDEX    index to take torch from. PyPI's own x86-64 builds carry CUDA (several GB); the one
#                  with CPU builds is named at https://pytorch.org/get-started/locally/
#   TORCH_VARIANT  cpu (default) or cuda: what is meant, so that a wrong one is an error and not a
#                  large image
ARG PYTHON_VERSION=3.11

FROM node:22-slim AS dashboard
WORKDIR /src/web
COPY web ./
RUN npm ci && npm run build

FROM python:${PYTHON_VERSION}-slim AS build
ARG TORCH_INDEX=""
ARG TORCH_VARIANT=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/headroom/bin:$PATH
SHELL ["/bin/bash", "-eu", "-o", "pipefail", "-c"]
WORKDIR /app

# Layers in the order of how seldom they change: torch, the other dependencies, the sources.
COPY constraints.txt ./
# The version is in constraints.txt.
# hadolint ignore=DL3013
RUN if [[ $TORCH_VARIANT = cpu && -z $TORCH_INDEX && $(uname -m) = x86_64 ]]; then \
        echo "A CPU image needs --build-arg TORCH_INDEX=<index of CPU builds>;" \
             "a CUDA one --build-arg TORCH_VARIANT=cuda. See docs/deployment.md." >&2; \
        exit 1; \
    fi; \
    python -m venv /opt/headroom; \
    pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(grep '^torch==' constraints.txt)"
COPY pyproject.toml README.md ./
RUN python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
        print(*project["dependencies"], *project["optional-dependencies"]["telemetry"], sep="\n")' \
        > requirements.txt; \
    pip install --constraint constraints.txt --requirement requirements.txt; \
    rm requirements.txt
COPY alembic alembic
COPY planner planner
COPY profiler profiler
COPY headroom_client headroom_client
COPY app app
COPY --from=dashboard /src/app/dashboard/static app/dashboard/static
# Editable, since the migrations are found beside the package.
RUN pip install --no-deps --editable .; \
    python -m compileall -q app headroom_client planner profiler; \
    headroom --version

FROM python:${PYTHON_VERSION}-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/headroom --create-home headroom
COPY --from=build /opt/headroom /opt/headroom
COPY --from=build /app /app
ENV PATH=/opt/headroom/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 \
    HEADROOM_DATA_DIR=/var/lib/headroom
USER 10001
WORKDIR /var/lib/headroom
VOLUME /var/lib/headroom
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["headroom"]
CMD ["serve", "--host", "0.0.0.0"]
