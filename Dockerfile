# One file, two targets:
#   server   the main server, without TensorFlow
#   device   one device, named by the build argument DEVICE: a folder with wsgi.py and device.toml
# All devices share every layer but the last few, which hold what is one device's own.

FROM python:3.11-slim-bookworm AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    STATE_DIRECTORY=/state
RUN useradd --uid 10001 --no-create-home --home-dir /tmp fedbell \
    && install --directory --owner=10001 --group=10001 /state
WORKDIR /app
# Where Gunicorn listens, over TLS where it speaks that: it reads the same settings.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-m", "shared.web.health_check"]
CMD ["gunicorn"]

# Packages are compiled when they are installed: a read-only image could not keep .pyc files.
# The locks are complete: nothing is resolved anew (--no-deps).
FROM base AS server-packages
ENV PYTHONDONTWRITEBYTECODE=
COPY requirements/server.lock .
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --no-deps -r server.lock \
    # The packages' own tests and the styles of an older Bootstrap: 28 MB that nothing reads.
    && find /opt/venv -type d '(' -name tests -o -path '*/static/bootstrap4' ')' -prune \
        -exec rm -r '{}' +

FROM base AS device-packages
ENV PYTHONDONTWRITEBYTECODE=
COPY requirements/device.lock .
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --no-deps -r device.lock

FROM base AS server
COPY --from=server-packages /opt/venv /opt/venv
COPY gunicorn.conf.py .
COPY shared/__init__.py shared/errors.py shared/
COPY shared/federated shared/federated
COPY shared/web shared/web
COPY main_server main_server
RUN python -m compileall -q .
ENV WSGI_APP=main_server.wsgi:app \
    BIND=0.0.0.0:8000 \
    WORKERS=2
USER 10001:10001

FROM base AS device-code
COPY --from=device-packages /opt/venv /opt/venv
COPY gunicorn.conf.py .
COPY shared shared
RUN python -m compileall -q .

# The built-in pictures of all devices; each device's image takes its own from here.
FROM device-code AS digits
COPY . .
RUN python -m shared.command_line dataset digits --directory /digits

FROM device-code AS device
ARG DEVICE=device1
COPY --from=digits /digits/${DEVICE} /built-in-dataset
COPY ${DEVICE} ${DEVICE}
RUN python -m compileall -q ${DEVICE}
ENV WSGI_APP=${DEVICE}.wsgi:app \
    BIND=0.0.0.0:8001 \
    DATASET_DIRECTORY=/dataset \
    BUILTIN_DATASET_DIRECTORY=/built-in-dataset \
    BACKBONE_DIRECTORY=/backbones \
    KERAS_HOME=/state/keras \
    MPLCONFIGDIR=/tmp/matplotlib
USER 10001:10001
