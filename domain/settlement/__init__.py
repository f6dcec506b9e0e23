"""Settlement: what partners earn, the statements that tell them, the payouts that pay them, and what corrects both."""

from domain.frozen import replace
from domain.handler import Handler, nobody
from domain.ledger.books import Queue
from domain.settlement.accruals import Accrual
from domain.settlement.adjusting import Adjustment, adjust_settlement, adjustment_needs, adjustment_time
from domain.settlement.agreeing import (
    AgreementToChange,
    AgreementToCreate,
    change_agreement,
    change_needs,
    create_agreement,
    creation_needs,
)
from domain.settlement.agreements import Agreement, has_agreements
from domain.settlement.cycles import ClosingsDue, due_needs, leave_closings
from domain.settlement.payouts import CompletedPayout, complete_payout, payout_needs
from domain.settlement.returning import ReturnedPayout, return_needs, return_payout, return_time
from domain.settlement.statements import Closing, close_settlement, closing_needs

FACTS = (
    Handler(
        Closing,
        closing_needs,
        close_settlement,
        lambda fact: fact.settlement_account,
        # The one before may never be made: an operator has discarded it.
        late=lambda fact: replace(fact, after=None),
    ),
    Handler(ClosingsDue, due_needs, leave_closings, nobody),
    Handler(CompletedPayout, payout_needs, complete_payout, lambda fact: fact.settlement_account),
    Handler(Adjustment, adjustment_needs, adjust_settlement, lambda fact: fact.settlement_account, adjustment_time),
    Handler(ReturnedPayout, return_needs, return_payout, nobody, return_time),
    Handler(AgreementToCreate, creation_needs, create_agreement, lambda fact: fact.settlement_account),
    Handler(AgreementToChange, change_needs, change_agreement, nobody),
)

DAILY = (ClosingsDue,)
"""What begins with each day: the fact of its date."""

# A payable of zero proves nothing: it may be the sum of accruals of opposite sign.
QUEUES = (
    Queue(Accrual, is_empty=lambda _position: False, keeps_open="SettlementAccount"),
    Queue(Agreement, is_empty=lambda position: not has_agreements(position)),
)
