# One image for every role: worker, aligner, and the command line.
FROM python:3.12-slim
WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY bus bus
COPY producers producers
COPY workers workers
COPY candlebus candlebus
RUN PIP_CONSTRAINT=/app/constraints.txt pip install --no-cache-dir . && useradd --system --no-create-home candlebus
USER candlebus
ENTRYPOINT ["candlebus"]
CMD ["--help"]
