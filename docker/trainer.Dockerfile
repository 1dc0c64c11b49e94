# The offline trainer. See docs/containers.md; BASE, TORCH_PIP_ARGS and the labels are those of service.Dockerfile.
#
#   docker build -f docker/trainer.Dockerfile -t codepmp-trainer .
#   docker run --rm -v WORK:/training codepmp-trainer run --recipe cpu_tiny --work /training
ARG BASE=python:3.11-slim

# Up to torch these are the steps of service.Dockerfile, word for word: who builds both builds them once.
FROM ${BASE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python3 -m venv /opt/venv && python3 -m venv /opt/sbom && /opt/sbom/bin/pip install cyclonedx-bom==7.5.0
COPY pyproject.toml constraints.txt constraints-vllm.txt ./
RUN touch LICENSE README.md && for room in reward_model service trainer; do mkdir $room && touch $room/__init__.py; done

FROM dependencies AS build
ARG TORCH_PIP_ARGS=
RUN /opt/venv/bin/pip install -c constraints.txt ${TORCH_PIP_ARGS} setuptools torch
RUN /opt/venv/bin/pip install -c constraints.txt --no-build-isolation ".[trainer,ray]" \
    && /opt/venv/bin/pip uninstall --yes codepmp
RUN cd /opt/venv/lib/python3*/site-packages \
    && rm -rf torch/test pip pip-* setuptools setuptools-* pkg_resources _distutils_hack distutils-precedence.pth \
    && rm -f /opt/venv/bin/pip* \
    && /opt/sbom/bin/cyclonedx-py environment /opt/venv --output-file /opt/venv/sbom.cdx.json

FROM ${BASE} AS trainer
# Triton compiles the launcher of each kernel where it runs, against Python's headers; KubeRay's probes call wget; programs
# that models wrote run behind bubblewrap.
RUN apt-get update && apt-get install --yes --no-install-recommends bubblewrap gcc libc6-dev tini wget \
      $([ -e "$(python3 -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h" ] || echo python3-dev) \
    && rm -rf /var/lib/apt/lists/*
# Installers are for builds; a base that has them loses them here.
RUN rm -rf /usr/bin/pip* /usr/local/bin/pip* /usr/share/python-wheels \
           /usr/lib/python3/dist-packages/pip* /usr/lib/python3/dist-packages/setuptools* \
           /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/site-packages/setuptools* \
           /usr/local/lib/python3*/ensurepip /usr/lib/python3*/ensurepip
WORKDIR /app
COPY scripts/build-kernels scripts/
COPY reward_model reward_model
COPY trainer trainer
# The trainer scores over HTTP with it; what it needs, httpx, is in the extra `trainer`.
COPY client/codepmp_client codepmp_client
COPY runs runs
RUN scripts/build-kernels --require && python3 -m compileall -q reward_model trainer codepmp_client
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp HF_HOME=/tmp/huggingface \
    OMP_WAIT_POLICY=PASSIVE MPLCONFIGDIR=/tmp/matplotlib TRITON_CACHE_DIR=/tmp/triton TORCHINDUCTOR_CACHE_DIR=/tmp/inductor
USER 10001:10001
VOLUME ["/training"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "python", "-m", "trainer"]
ARG VERSION=0 REVISION=unknown CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="codepmp-trainer" \
      org.opencontainers.image.description="Makes reward models from source code" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
