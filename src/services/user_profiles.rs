//! The user-profiles service knows who is eligible to attend an assembly.
//! `contracts/user_profiles.json` describes it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::clock::Clock;
use crate::domain::attendance::{UnitId, Weight};
use crate::domain::id::{AssemblyId, TenantId, UserId};
use crate::services::body::{invalid, read};
use crate::services::cache::Cache;
use crate::services::client::{
    Question, RemoteService, ServiceClient, ServiceOptions, ServiceState,
};
use crate::services::error::{ServiceError, ServiceSetupError};

/// How long an eligible list is used without asking again. Raising it makes a
/// change of the list be noticed later.
pub const ELIGIBLE_FRESH_FOR: Duration = Duration::from_mins(1);
/// Most members of a list. Raising it costs memory per session.
pub const ELIGIBLE_MEMBERS_MAX: usize = 20_000;
/// Most pages of a list: a service that always names a next page is stopped.
pub const ELIGIBLE_PAGES_MAX: usize = 100;
/// Longest name and cursor taken, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;
/// Longest locale taken, in bytes; RFC 5646 §4.4.1 advises 35.
const LOCALE_BYTES_MAX: usize = 35;
/// Most members asked for in one page.
const PAGE_LIMIT: &str = "1000";

/// Somebody who may attend in their own right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EligibleMember {
    /// Who it is.
    pub user_id: UserId,
    /// Their name, for people.
    pub name: String,
    /// The language to address them in, as BCP 47 has it, when it is known.
    pub locale: Option<String>,
    /// Their units and what each weighs.
    pub units: Vec<(UnitId, Weight)>,
}

/// A unit that somebody else represents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EligibleDelegation {
    /// The unit.
    pub unit_id: UnitId,
    /// Who represents it.
    pub delegate: UserId,
}

/// Who may attend an assembly.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EligibleList {
    /// The members.
    pub members: Vec<EligibleMember>,
    /// The delegations that are known beforehand.
    pub delegations: Vec<EligibleDelegation>,
}

/// A client of the user-profiles service.
pub struct UserProfilesClient {
    client: ServiceClient,
    lists: Cache<(TenantId, AssemblyId), Arc<EligibleList>>,
}

#[derive(Deserialize)]
struct Page {
    tenant_id: String,
    members: Vec<MemberBody>,
    #[serde(default)]
    delegations: Vec<DelegationBody>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct MemberBody {
    user_id: String,
    name: String,
    locale: Option<String>,
    units: Vec<UnitBody>,
}

#[derive(Deserialize)]
struct UnitBody {
    unit_id: String,
    /// A decimal number, as text or as a JSON number.
    weight: Value,
}

#[derive(Deserialize)]
struct DelegationBody {
    unit_id: String,
    delegate: String,
}

impl UserProfilesClient {
    /// A client. A rustls provider must be installed for the process.
    pub fn new(options: &ServiceOptions, clock: Clock) -> Result<Self, ServiceSetupError> {
        let client = ServiceClient::new(RemoteService::UserProfiles, options, clock)?;
        Ok(Self { client, lists: Cache::new() })
    }

    /// How the service is doing.
    #[must_use]
    pub fn state(&self) -> ServiceState {
        self.client.state()
    }

    /// Who may attend an assembly: all pages, or an error. Half a list would make
    /// a quorum that is none.
    pub async fn eligible(
        &self,
        tenant: TenantId,
        assembly: AssemblyId,
    ) -> Result<Arc<EligibleList>, ServiceError> {
        let key = (tenant, assembly);
        if let Some(list) = self.lists.fresh(&key, ELIGIBLE_FRESH_FOR, self.client.now()) {
            return Ok(list);
        }
        let (tenant_text, assembly_text) = (tenant.to_string(), assembly.to_string());
        let path = ["api", "v1", "users", "eligible", &tenant_text];
        let mut list = EligibleList::default();
        let mut seen = Seen::default();
        let mut cursor: Option<String> = None;
        for _ in 0..ELIGIBLE_PAGES_MAX {
            let mut query = vec![("assembly_id", assembly_text.as_str()), ("limit", PAGE_LIMIT)];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = |answer: &[u8]| read::<Page>(RemoteService::UserProfiles, answer);
            let page = self.client.ask(Question::get(&path, &query), page).await?;
            if page.tenant_id != tenant_text {
                return Err(contradicts("it is about another tenant"));
            }
            cursor.clone_from(&page.next_cursor);
            add_page(&mut list, &mut seen, page)?;
            let Some(cursor) = &cursor else {
                let list = Arc::new(list);
                self.lists.keep(key, Arc::clone(&list), self.client.now());
                return Ok(list);
            };
            if cursor.len() > TEXT_BYTES_MAX {
                return Err(invalid(RemoteService::UserProfiles, "next_cursor"));
            }
        }
        Err(contradicts("the list has no end"))
    }
}

/// What a list already has.
#[derive(Default)]
struct Seen {
    members: BTreeSet<UserId>,
    units: BTreeSet<UnitId>,
}

fn add_page(list: &mut EligibleList, seen: &mut Seen, page: Page) -> Result<(), ServiceError> {
    let service = RemoteService::UserProfiles;
    if list.members.len() + page.members.len() > ELIGIBLE_MEMBERS_MAX {
        return Err(contradicts("the list is too long"));
    }
    for body in page.members {
        let user_id: UserId = body.user_id.parse().map_err(|_| invalid(service, "user_id"))?;
        if body.name.len() > TEXT_BYTES_MAX {
            return Err(invalid(service, "name"));
        }
        if !seen.members.insert(user_id.clone()) {
            return Err(contradicts("a member is listed twice"));
        }
        let mut units = Vec::with_capacity(body.units.len());
        for unit in body.units {
            let unit_id: UnitId = unit.unit_id.parse().map_err(|_| invalid(service, "unit_id"))?;
            if !seen.units.insert(unit_id.clone()) {
                return Err(contradicts("a unit is listed twice"));
            }
            units.push((unit_id, weight_of(&unit.weight)?));
        }
        // A locale is for display only and refuses nobody.
        let locale = body.locale.filter(|it| it.len() <= LOCALE_BYTES_MAX);
        list.members.push(EligibleMember { user_id, name: body.name, locale, units });
    }
    for body in page.delegations {
        let unit_id = body.unit_id.parse().map_err(|_| invalid(service, "unit_id"))?;
        let delegate = body.delegate.parse().map_err(|_| invalid(service, "delegate"))?;
        list.delegations.push(EligibleDelegation { unit_id, delegate });
    }
    if list.delegations.len() > ELIGIBLE_MEMBERS_MAX {
        return Err(contradicts("the list is too long"));
    }
    Ok(())
}

fn weight_of(value: &Value) -> Result<Weight, ServiceError> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    text.parse().map_err(|_| invalid(RemoteService::UserProfiles, "weight"))
}

fn contradicts(what: &'static str) -> ServiceError {
    ServiceError::Contradicts { service: RemoteService::UserProfiles, what }
}
