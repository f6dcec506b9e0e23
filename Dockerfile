ARG PYTHON_IMAGE=python:3.11.14-slim
FROM ${PYTHON_IMAGE}

WORKDIR /opt/paymaster
COPY requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore --require-hashes -r requirements.txt

# In place, as on a developer's machine: the folders are the packages, and no build tool has to be fetched.
COPY domain domain
COPY schemas schemas
COPY adapters adapters
COPY handlers handlers
RUN printf '%s\n' '#!/usr/bin/env python3' 'from handlers.cli import main' 'raise SystemExit(main())' > /usr/local/bin/paymaster \
 && chmod 755 /usr/local/bin/paymaster \
 && useradd --system --no-create-home --shell /usr/sbin/nologin paymaster

ENV PYTHONPATH=/opt/paymaster PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PAYMASTER_HEALTH_FILE=/tmp/paymaster-ready \
    PAYMASTER_HTTP_HOST=0.0.0.0
USER paymaster

# The worker touches the file every few seconds for as long as it is ready; a missing file is an error too.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python3", "-c", "import os, sys, time; sys.exit(time.time() - os.stat(os.environ['PAYMASTER_HEALTH_FILE']).st_mtime > 30)"]

ENTRYPOINT ["paymaster"]
CMD ["run"]
