# The sidecar and the command. docs: deploy/README.md
#
#   docker buildx build --sbom=true --provenance=mode=max --tag registry.example.com/kubernetes-membership:0.1.0 --push .
#
# The digest is that of the index of the tag as of 2026-09-19 (Python 3.11.16, 5 platforms), by the Docker Official
# Images' own record: github.com/docker-library/repo-info at 40cdaf34215d6a292f2c62798b194d67d4b1ad55,
# repos/python/remote/3.11-slim-bookworm.md. No registry was asked. What it is today, for the next fixes of Debian and Python:
#
#   docker buildx imagetools inspect docker.io/library/python:3.11-slim-bookworm --format '{{.Manifest.Digest}}'
#
# BASE may name a mirror in a private registry; keep the digest. Python's minor version is the one that the tests run,
# for compiled packages are built for one. All that is done here is done by deploy/image/build_root.py, which
# tests/deploy runs as well: this file copies and names.
ARG BASE=docker.io/library/python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${BASE} AS build
WORKDIR /source
COPY . .
RUN ["python3", "-m", "deploy.image.build_root", "/image"]

FROM ${BASE}
ARG REVISION=unknown
LABEL org.opencontainers.image.title="kubernetes-membership" \
      org.opencontainers.image.description="A live, true member list for Hazelcast-style clusters on Kubernetes" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/ /
# PYTHONPATH is for `python3 -m membership` only: the two programs find their files themselves.
ENV PATH=/opt/membership/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/membership/lib
# A number, so that runAsNonRoot can be checked; group 0, as OpenShift gives. Any other uid does as well.
USER 10001:0
WORKDIR /
EXPOSE 4080
ENTRYPOINT ["/opt/membership/bin/membership-sidecar"]
