//! Complete: the wallet reports how it ended on its side. Unauthenticated, so it can never make a credential count as
//! issued; a failure is never final, because a success may follow.

use std::sync::Arc;

use credential::completion::Outcome;
use domain::TransactionId;
use domain::audit::{Event, EventKind};
use store::{Report, StoreError, Write, Written};

use super::news::{self, News};
use super::{Failed, subject_of};
use crate::Issuer;
use crate::inbound::Refused;
use crate::sealed::SealError;

/// Why a report was not taken.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// The `state` is not one that we made, or its request is gone.
    #[error("no request belongs to this state")]
    UnknownState,
    /// The wallet says that it stored a credential that was never issued.
    #[error("no credential was issued for this request")]
    NotIssued,
    /// Its wallet calls too often.
    #[error(transparent)]
    NotAdmitted(#[from] Refused),
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// Something sealed could not be opened.
    #[error("the request cannot be read")]
    Seal(#[from] SealError),
}

impl Issuer {
    /// Records a wallet's report; gives the transaction. Repeating a report changes nothing.
    pub async fn complete(
        self: &Arc<Self>,
        state: &str,
        report: Outcome,
    ) -> Result<TransactionId, Failed<CompleteError>> {
        let mut transaction = None;
        let done = self.take_report(state, report, &mut transaction).await;
        done.map_err(|error| Failed { error, transaction })
    }

    async fn take_report(
        &self,
        state: &str,
        report: Outcome,
        transaction: &mut Option<TransactionId>,
    ) -> Result<TransactionId, CompleteError> {
        let id = self.local.request_of(state).ok_or(CompleteError::UnknownState)?;
        self.inbound.request(id)?;
        let request =
            self.store.request(self.settings.tenant, id).await?.ok_or(CompleteError::UnknownState)?;
        *transaction = Some(request.transaction);
        if report == Outcome::Successful && request.issued_at.is_none() {
            return Err(CompleteError::NotIssued);
        }
        let subject = subject_of(&request);
        let now = self.clock.now();
        let news = match report {
            Outcome::Successful => News::Successful,
            Outcome::Failed(failure) => News::Failed(failure.name()),
        };
        let code = match report {
            Outcome::Successful => "issuance_successful",
            Outcome::Failed(_) => "issuance_failed",
        };
        let mut event = Event::new(&subject, EventKind::WalletReported, now).with("code", code);
        if let Outcome::Failed(failure) = report {
            event = event.with("details", failure.name());
        }
        let member = Report {
            tenant: request.tenant,
            request: id,
            transaction: request.transaction,
            at: now,
            limit: self.settings.wallet_failures,
            callback: news::announce(&self.keyring, request.tenant, id, request.callback.as_deref(), news)?,
            event,
            ended_event: None,
        };
        let write = match report {
            Outcome::Successful => Write::Complete(Box::new(member)),
            Outcome::Failed(_) => Write::WalletFailed(Box::new(member)),
        };
        if self.committer().submit(write).await? == Written::Done {
            self.callbacks.notify_one();
        }
        Ok(request.transaction)
    }
}
