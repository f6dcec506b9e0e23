"""Days: time as facts. The domain asks no clock; that a new day has come, it is told."""

from domain.days.beginning import begin_day, day_needs
from domain.days.model import BegunDay
from domain.handler import Handler, nobody

FACTS = (Handler(BegunDay, day_needs, begin_day, nobody),)
