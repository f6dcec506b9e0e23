"""`paymaster audit`: proves in the database that the books hold.

The nine invariants of the design, and the module in which their checks stand; each check names its own.

1. each entry's postings sum to zero, and so does the whole journal: `journal`;
2. each position's balances are the sums of its postings: `journal`, and its oldest due date is that of the open
   invoices: `accounts`;
3. an invoice's total is its lines plus tax and what was posted, and what remains is what was not allocated: `billing`,
   and `facts` for what was posted;
4. allocations stay within payment and invoice, credit is what is left, never beside an open invoice: `billing`;
5. payable is accruals less payouts, an accrual is stated once, statements add up: `partners`, and `billing` for what
   an invoice's lines accrue;
6. a fact has one state, and inbox, entry and documents agree on it: `facts`; an account is what its history says, which
   is what facts made of it, and its state fits its money: `accounts`; likewise a specification: `specifications`;
7. event sequences have no gap, events are sent or young: `outbox`, and `specifications` for theirs;
8. invoice numbers have no gap and no twin: `billing`;
9. nothing points to what is not there: beside the documents that point, in every module; and accounts to accounts in
   a way that makes sense, without cycles and one payer at a time: `accounts`.

`model` says what a check is, `run` runs them all on one snapshot.
"""

from adapters.audit.run import CHECKS, AuditIncomplete, audit

__all__ = ["CHECKS", "AuditIncomplete", "audit"]
