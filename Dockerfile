# One image for every role: worker, aligner, schedule, metrics, and the command line. It writes nothing but to /tmp.
FROM python:3.12-slim AS build
WORKDIR /src
ENV PIP_CONSTRAINT=/src/constraints.txt PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY bus bus
COPY producers producers
COPY workers workers
COPY candlebus candlebus
RUN python -m venv --without-pip /opt/candlebus \
 && pip --python /opt/candlebus/bin/python install . \
 && /opt/candlebus/bin/python -m compileall -q /opt/candlebus/lib

FROM python:3.12-slim
COPY --from=build /opt/candlebus /opt/candlebus
# The start wrapper of a durable server, for whoever runs one beside this image.
COPY bus/scripts/serve.sh /usr/local/bin/serve.sh
ENV PATH=/opt/candlebus/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    CANDLEBUS_HOME=/tmp/candlebus CANDLEBUS_LOG=json
USER 10001:10001
# Whether the bus answers; what runs a role has a check of its own, such as: candlebus alive worker bingx
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["candlebus", "alive"]
ENTRYPOINT ["candlebus"]
CMD ["--help"]
