"""The AsyncAPI document: what comes in is generated from the models that read it, what goes out is told in tables."""

from schemas.asyncapi.document import asyncapi

__all__ = ["asyncapi"]
