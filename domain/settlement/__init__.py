"""Settlement: what partners earn, the statements that tell them, the payouts that pay them, and what corrects both."""

from domain.frozen import replace
from domain.handler import Handler, nobody
from domain.ledger.books import Queue
from domain.settlement.accepting import (
    DocumentToAccept,
    DocumentToDispute,
    accept_document,
    accept_needs,
    accept_time,
    dispute_document,
)
from domain.settlement.accruals import Accrual
from domain.settlement.adjusting import Adjustment, adjust_settlement, adjustment_needs, adjustment_time
from domain.settlement.advances import PaidAdvance, advance_needs, advance_time, pay_advance
from domain.settlement.agreeing import (
    AgreementToChange,
    AgreementToCreate,
    change_agreement,
    change_needs,
    create_agreement,
    creation_needs,
)
from domain.settlement.agreements import Agreement, has_agreements
from domain.settlement.backdating import (
    BackdatingToComplete,
    complete_backdating,
    completion_needs,
)
from domain.settlement.closing import Closing, close_settlement, closing_needs
from domain.settlement.comparing import ReportToCompare, compare_report, comparison_needs
from domain.settlement.cycles import ClosingsDue, due_needs, leave_closings
from domain.settlement.documents import SettlementDocument
from domain.settlement.payouts import CompletedPayout, complete_payout, payout_needs
from domain.settlement.releasing import (
    ReservesDue,
    ReserveToRelease,
    leave_releases,
    release_needs,
    release_reserve,
    release_time,
)
from domain.settlement.releasing import due_needs as releases_due_needs
from domain.settlement.reserves import Reserve
from domain.settlement.returning import ReturnedPayout, return_needs, return_payout, return_time
from domain.settlement.statements import Settlement
from domain.settlement.tiers import TierPeriod

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
    Handler(BackdatingToComplete, completion_needs, complete_backdating, nobody),
    Handler(PaidAdvance, advance_needs, pay_advance, nobody, advance_time),
    Handler(ReservesDue, releases_due_needs, leave_releases, nobody),
    Handler(ReserveToRelease, release_needs, release_reserve, nobody, release_time),
    Handler(ReportToCompare, comparison_needs, compare_report, nobody),
    Handler(DocumentToAccept, accept_needs, accept_document, nobody, accept_time),
    Handler(DocumentToDispute, accept_needs, dispute_document, nobody, accept_time),
)

DAILY = (ReservesDue, ClosingsDue)
"""What begins with each day: the fact of its date."""

# A payable of zero proves nothing: it may be the sum of accruals of opposite sign.
QUEUES = (
    Queue(Accrual, keeps_open="SettlementAccount"),
    Queue(Agreement, is_empty=lambda position: not has_agreements(position)),
    Queue(Reserve),
    Queue(TierPeriod, is_empty=lambda position: not has_agreements(position), keeps_open="SettlementAccount"),
    Queue(Settlement),
    Queue(SettlementDocument),
)
