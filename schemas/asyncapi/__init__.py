"""The AsyncAPI document, which follows from what messages, queries and events declare."""

from schemas.asyncapi.document import asyncapi

__all__ = ["asyncapi"]
