//! The user-profiles service knows who is eligible to attend an assembly.
//! `contracts/user_profiles.json` describes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::clock::Clock;
use crate::domain::attendance::{UnitId, Weight};
use crate::domain::eligible_list::{ListFault, ListRefused};
use crate::domain::id::{AssemblyId, TenantId, UserId};
use crate::domain::time::Timestamp;
use crate::services::body::read;
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
/// How long a list that was refused counts against the health of the service: rooms ask for it again
/// each minute while they are open.
const REFUSED_FOR: Duration = Duration::from_mins(3);
/// Most refused lists that are remembered. Those beyond them show in the log only.
const REFUSED_MAX: usize = 1_000;
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
    lists: Cache<ListKey, Arc<EligibleList>>,
    /// Lists that were refused, when, and why.
    refused: Mutex<BTreeMap<ListKey, (Timestamp, ListRefused)>>,
}

type ListKey = (TenantId, AssemblyId);

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
        Ok(Self { client, lists: Cache::new(), refused: Mutex::default() })
    }

    /// How the service is doing.
    #[must_use]
    pub fn state(&self) -> ServiceState {
        let state = self.client.state();
        ServiceState { problem: state.problem.clone().or_else(|| self.problem()), ..state }
    }

    /// What is wrong with a list that was refused lately; `None` when none was. Names nobody.
    fn problem(&self) -> Option<String> {
        let now = self.client.now();
        let refused = self.refused();
        let mut lately = refused.values().filter(|(at, _)| at.after(REFUSED_FOR) > now);
        let (_, first) = lately.next()?;
        let count = 1 + lately.count();
        Some(format!("eligible lists that are refused: {count}, such as: {first}"))
    }

    fn refused(&self) -> MutexGuard<'_, BTreeMap<ListKey, (Timestamp, ListRefused)>> {
        // A panic of another holder can't leave the map half changed.
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
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
        let outcome = self.read_list(tenant, assembly).await;
        let now = self.client.now();
        match &outcome {
            Ok(list) => {
                self.refused().remove(&key);
                self.lists.keep(key, Arc::clone(list), now);
            }
            Err(ServiceError::ListRefused(why)) => {
                let mut refused = self.refused();
                refused.retain(|_, (at, _)| at.after(REFUSED_FOR) > now);
                if refused.len() < REFUSED_MAX {
                    refused.insert(key, (now, why.clone()));
                }
            }
            // Whether what was refused before is mended is not known.
            Err(_) => {}
        }
        outcome
    }

    async fn read_list(
        &self,
        tenant: TenantId,
        assembly: AssemblyId,
    ) -> Result<Arc<EligibleList>, ServiceError> {
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
                return Err(refused(ListFault::Unreadable));
            }
            cursor.clone_from(&page.next_cursor);
            add_page(&mut list, &mut seen, page).map_err(ServiceError::ListRefused)?;
            match &cursor {
                None => return Ok(Arc::new(list)),
                Some(cursor) if cursor.len() > TEXT_BYTES_MAX => {
                    return Err(refused(ListFault::Unreadable));
                }
                Some(_) => {}
            }
        }
        Err(refused(ListFault::TooLong))
    }
}

const fn refused(fault: ListFault) -> ServiceError {
    ServiceError::ListRefused(ListRefused::whole(fault))
}

/// What a list already has.
#[derive(Default)]
struct Seen {
    members: BTreeSet<UserId>,
    units: BTreeSet<UnitId>,
}

fn add_page(list: &mut EligibleList, seen: &mut Seen, page: Page) -> Result<(), ListRefused> {
    if list.members.len() + page.members.len() > ELIGIBLE_MEMBERS_MAX {
        return Err(ListRefused::whole(ListFault::TooLong));
    }
    for body in page.members {
        let row = list.members.len() + 1;
        let member = member_of(body, row, seen)?;
        list.members.push(member);
    }
    for body in page.delegations {
        let row = list.delegations.len() + 1;
        let unit: Option<UnitId> = body.unit_id.parse().ok();
        let delegate: Option<UserId> = body.delegate.parse().ok();
        let (Some(unit_id), Some(delegate)) = (unit.clone(), delegate.clone()) else {
            return Err(ListRefused::row(ListFault::DelegationInvalid, row, delegate, unit));
        };
        list.delegations.push(EligibleDelegation { unit_id, delegate });
    }
    if list.delegations.len() > ELIGIBLE_MEMBERS_MAX {
        return Err(ListRefused::whole(ListFault::TooLong));
    }
    Ok(())
}

fn member_of(body: MemberBody, row: usize, seen: &mut Seen) -> Result<EligibleMember, ListRefused> {
    let invalid = |fault, user: Option<&UserId>, unit: Option<UnitId>| {
        ListRefused::row(fault, row, user.cloned(), unit)
    };
    let user: Option<UserId> = body.user_id.parse().ok();
    let user_id = user.ok_or_else(|| invalid(ListFault::MemberInvalid, None, None))?;
    if body.name.len() > TEXT_BYTES_MAX {
        return Err(invalid(ListFault::MemberInvalid, Some(&user_id), None));
    }
    if user_id.is_reserved() {
        return Err(invalid(ListFault::NotAPerson, Some(&user_id), None));
    }
    if !seen.members.insert(user_id.clone()) {
        return Err(invalid(ListFault::MemberTwice, Some(&user_id), None));
    }
    let mut units = Vec::with_capacity(body.units.len());
    for unit in body.units {
        let unit_id: Option<UnitId> = unit.unit_id.parse().ok();
        let unit_id =
            unit_id.ok_or_else(|| invalid(ListFault::UnitInvalid, Some(&user_id), None))?;
        if !seen.units.insert(unit_id.clone()) {
            return Err(invalid(ListFault::UnitTwice, Some(&user_id), Some(unit_id)));
        }
        let Some(weight) = weight_of(&unit.weight) else {
            return Err(invalid(ListFault::WeightInvalid, Some(&user_id), Some(unit_id)));
        };
        units.push((unit_id, weight));
    }
    // A locale is for display only and refuses nobody.
    let locale = body.locale.filter(|it| it.len() <= LOCALE_BYTES_MAX);
    Ok(EligibleMember { user_id, name: body.name, locale, units })
}

fn weight_of(value: &Value) -> Option<Weight> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(members: &Value, delegations: &Value) -> (&'static str, String, Option<String>) {
        let good =
            json!([{"user_id": "o1", "name": "Ana", "units": [{"unit_id": "U1", "weight": "1"}]}]);
        let (mut list, mut seen) = (EligibleList::default(), Seen::default());
        let page = |members: &Value, delegations: &Value| -> Page {
            let page = json!({"tenant_id": "t", "members": members, "delegations": delegations});
            serde_json::from_value(page).expect("a page")
        };
        add_page(&mut list, &mut seen, page(&good, &json!([]))).expect("taken");
        let refused = add_page(&mut list, &mut seen, page(members, delegations));
        let refused = refused.expect_err("a list that is not taken");
        let about = format!(
            "{} {} {}",
            refused.row.unwrap_or_default(),
            refused.user.as_ref().map_or("-", UserId::as_str),
            refused.unit.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        );
        let text = refused.to_string();
        let names_nobody = !text.contains("o1") && !text.contains("U1") && !text.contains("Ana");
        (refused.fault.as_str(), about, names_nobody.then_some(text))
    }

    #[test]
    fn a_list_that_is_refused_says_which_row_is_wrong() {
        let member = |user: &str, unit: &str, weight: &str| {
            let units = json!([{"unit_id": unit, "weight": weight}]);
            json!([{"user_id": user, "name": "Bea", "units": units}])
        };
        for (members, fault, about) in [
            (member("o1", "U2", "1"), "member_twice", "2 o1 -"),
            (member("o2", "U1", "1"), "unit_twice", "2 o2 U1"),
            (member("o2", "U2", "-5"), "weight_invalid", "2 o2 U2"),
            (member("o2", "U2", "1e30"), "weight_invalid", "2 o2 U2"),
            (member("o2", "", "1"), "unit_invalid", "2 o2 -"),
            (member("", "U2", "1"), "member_invalid", "2 - -"),
            (member("cabildo:recorder", "U2", "1"), "not_a_person", "2 cabildo:recorder -"),
        ] {
            let (said, row, text) = refused(&members, &json!([]));
            assert_eq!((said, row.as_str()), (fault, about));
            assert!(text.is_some_and(|text| text.ends_with("(row 2)")), "{fault}");
        }
        let delegations = json!([{"unit_id": "U1", "delegate": ""}]);
        let (said, row, _) = refused(&json!([]), &delegations);
        assert_eq!((said, row.as_str()), ("delegation_invalid", "1 - U1"));
    }
}
