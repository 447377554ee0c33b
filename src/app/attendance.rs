//! Validates presence at the identity service, and reads eligible lists of the
//! user-profiles service.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::services::Services;
use crate::attendance::ports::{
    EligibleList, EligibleSource, EligibleUnavailable, PresenceVerifier, Presentation,
};
use crate::attendance::{Member, Roll, RollInvalid};
use crate::domain::attendance::{AttendanceFailure, AttendanceMethod};
use crate::domain::eligible_list::{ListFault, ListRefused};
use crate::domain::id::{AssemblyId, TenantId, UserId};
use crate::domain::secret::Secret;
use crate::services::{
    BiometricKind, CodeChannel, IdentityClient, ProofContext, Refusal, ServiceError,
    UserProfilesClient, Validation,
};

/// What validates presence, when an identity service is configured.
pub(super) fn verifier(services: &Services) -> Option<Arc<dyn PresenceVerifier>> {
    let client = services.identity.clone()?;
    Some(Arc::new(IdentityVerifier(client)))
}

/// What has eligible lists, when a user-profiles service is configured.
pub(super) fn eligible(services: &Services) -> Option<Arc<dyn EligibleSource>> {
    let client = services.user_profiles.clone()?;
    Some(Arc::new(ProfileLists(client)))
}

struct IdentityVerifier(Arc<IdentityClient>);

#[async_trait]
impl PresenceVerifier for IdentityVerifier {
    async fn verify(&self, presented: &Presentation) -> Result<UserId, AttendanceFailure> {
        let validation = self.ask(presented).await?.map_err(|error| {
            tracing::warn!(session = %presented.session, %error, "presence can't be validated");
            AttendanceFailure::ServiceUnavailable
        })?;
        match validation {
            Validation::Valid(user) => Ok(user),
            Validation::Refused(refusal) => Err(match refusal {
                Refusal::Expired => AttendanceFailure::Expired,
                Refusal::Used => AttendanceFailure::Replayed,
                Refusal::WrongContext => AttendanceFailure::WrongContext,
                Refusal::Invalid => AttendanceFailure::Invalid,
            }),
        }
    }
}

impl IdentityVerifier {
    /// Asks about one thing; `Invalid` when the service can't be asked about it.
    async fn ask(
        &self,
        presented: &Presentation,
    ) -> Result<Result<Validation, ServiceError>, AttendanceFailure> {
        let context = ProofContext {
            tenant_id: presented.tenant,
            session_id: presented.session,
            assembly_id: presented.assembly,
            user_id: Some(presented.user.clone()),
        };
        let (client, secret) = (&self.0, &presented.secret);
        let variant = presented.variant.as_deref();
        Ok(match presented.method {
            AttendanceMethod::Qr => client.validate_contextual_token(&context, secret).await,
            AttendanceMethod::Code => {
                let channel = variant.map_or(Some(CodeChannel::Sms), CodeChannel::parse);
                let channel = channel.ok_or(AttendanceFailure::Invalid)?;
                client.validate_code(&context, channel, secret).await
            }
            AttendanceMethod::Biometric => {
                let kind = variant.map_or(Some(BiometricKind::Face), BiometricKind::parse);
                let kind = kind.ok_or(AttendanceFailure::Invalid)?;
                let sample = STANDARD.decode(secret.expose());
                let sample = Secret::new(sample.map_err(|_| AttendanceFailure::Invalid)?);
                client.validate_biometric(&context, kind, &sample).await
            }
            AttendanceMethod::Manual | AttendanceMethod::Channel => {
                return Err(AttendanceFailure::Invalid);
            }
        })
    }
}

struct ProfileLists(Arc<UserProfilesClient>);

#[async_trait]
impl EligibleSource for ProfileLists {
    async fn eligible(
        &self,
        tenant: TenantId,
        assembly: AssemblyId,
    ) -> Result<EligibleList, EligibleUnavailable> {
        let list = self.0.eligible(tenant, assembly).await;
        let list = list.map_err(|error| match error {
            ServiceError::ListRefused(why) => EligibleUnavailable::Refused(why),
            ServiceError::NotByContract { .. } | ServiceError::TooLong { .. } => {
                EligibleUnavailable::Refused(ListRefused::whole(ListFault::Unreadable))
            }
            error => EligibleUnavailable::NoAnswer(error.to_string()),
        })?;
        let members = list.members.iter().map(|member| Member {
            user_id: member.user_id.clone(),
            name: member.name.clone(),
            units: member.units.iter().cloned().collect::<BTreeMap<_, _>>(),
        });
        let roll = Roll::new(members).map_err(|invalid| {
            let fault = match invalid {
                RollInvalid::TooLong => ListFault::TooLong,
                RollInvalid::MemberTwice => ListFault::MemberTwice,
                RollInvalid::UnitTwice => ListFault::UnitTwice,
                RollInvalid::NotAPerson => ListFault::NotAPerson,
            };
            EligibleUnavailable::Refused(ListRefused::whole(fault))
        })?;
        let delegations = list.delegations.iter();
        let delegated = delegations.map(|it| (it.unit_id.clone(), it.delegate.clone())).collect();
        Ok(EligibleList { roll, delegated })
    }
}
