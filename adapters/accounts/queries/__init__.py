"""The reads that answer queries about accounts: one by one, in lists, as trees, statements and histories."""

from adapters.accounts.queries import history, lists, specifications, statement, trees
from adapters.mongodb.view import Reads
from schemas.accounts.queries import (
    AccountBalance,
    AccountGet,
    AccountHistory,
    AccountList,
    AccountStatement,
    AccountTree,
    BillFormatGet,
    BillFormatList,
    BillingCycleSpecificationGet,
    BillingCycleSpecificationList,
    BillPresentationMediaGet,
    BillPresentationMediaList,
    DunningProcedureGet,
    DunningProcedureList,
)

READS: Reads = (
    (AccountGet, lists.get),
    (AccountList, lists.page),
    (AccountBalance, trees.balance),
    (AccountTree, trees.tree),
    (AccountStatement, statement.page),
    (AccountHistory, history.page),
    (BillingCycleSpecificationGet, specifications.get),
    (BillingCycleSpecificationList, specifications.page),
    (BillFormatGet, specifications.get),
    (BillFormatList, specifications.page),
    (BillPresentationMediaGet, specifications.get),
    (BillPresentationMediaList, specifications.page),
    (DunningProcedureGet, specifications.get),
    (DunningProcedureList, specifications.page),
)
