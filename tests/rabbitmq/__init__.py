"""Tests of rabbitmq."""
