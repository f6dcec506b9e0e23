"""What the figures were measured on: without that they mean nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiormq
from pymongo import MongoClient

from services import Services

LIBRARIES = ("faststream", "aio-pika", "aiormq", "motor", "pymongo", "pydantic", "uvloop")


async def facts(services: Services, mongodb: MongoClient[dict[str, Any]]) -> dict[str, Any]:
    """The machine, the services and the libraries, and what of Paymaster's settings is not as it is by default."""
    connection = await aiormq.connect(services.rabbitmq_url)
    product = connection.server_properties.get("version")
    await connection.close()
    named = ("PAYMASTER_RABBITMQ_URL", "PAYMASTER_MONGODB_URL", "PAYMASTER_RABBITMQ_MANAGEMENT_URL")
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "system": platform.platform(),
        "loadAverage": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "rabbitmq": product if isinstance(product, str) else "unknown",
        "mongodb": str(mongodb.server_info()["version"]),
        "services": services.source,
        "libraries": {name: version(name) for name in LIBRARIES},
        "settings": {
            name: value for name, value in os.environ.items() if name.startswith("PAYMASTER_") and name not in named
        },
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
