"""Corrections: what is taken back of invoices and payments once they are booked."""

from domain.corrections.crediting import issue_credit_note, note_needs, note_time
from domain.corrections.model import NoteToIssue
from domain.handler import Handler, nobody

FACTS = (Handler(NoteToIssue, note_needs, issue_credit_note, nobody, note_time),)
