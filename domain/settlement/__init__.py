"""Settlement: what partners earn, the statements that tell them, and the payouts that pay them."""

from domain.handler import Handler
from domain.ledger.books import Queue
from domain.settlement.accruals import Accrual
from domain.settlement.payouts import CompletedPayout, complete_payout, payout_needs
from domain.settlement.statements import Closing, close_settlement, closing_needs

FACTS = (
    Handler(Closing, closing_needs, close_settlement, lambda fact: fact.settlement_account),
    Handler(CompletedPayout, payout_needs, complete_payout, lambda fact: fact.settlement_account),
)

# A payable of zero proves nothing: it may be the sum of accruals of opposite sign.
QUEUES = (Queue(Accrual, is_empty=lambda _position: False, keeps_open="SettlementAccount"),)
