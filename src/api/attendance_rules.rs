//! The rules of attendance of a session in JSON.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::json_forms::{Admission, Comparison, Member};
use super::session_body::change;
use crate::domain::quorum as domain;
use crate::sessions::{AttendancePatch, Change, QuorumRulePatch};

/// A share of everybody as a fraction: `1/2`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share(pub(super) domain::Share);

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        domain::Share::from_str(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// What makes people present, and what a quorum needs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attendance)]
pub(super) struct AttendanceBody {
    admission: Admission,
    /// Most units of others that one person may represent.
    delegated_units_max: u16,
    quorum: QuorumRulesBody,
}

/// What each call needs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuorumRules)]
struct QuorumRulesBody {
    first_call: QuorumRuleBody,
    /// `null` when there is no second call.
    second_call: Option<QuorumRuleBody>,
}

/// What a call needs. With neither share, one member suffices.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuorumRule)]
struct QuorumRuleBody {
    /// Share of the members, such as `1/2`.
    #[schema(value_type = Option<String>, pattern = r"^\d+/\d+$")]
    heads: Option<Share>,
    /// Share of the weight of all units.
    #[schema(value_type = Option<String>, pattern = r"^\d+/\d+$")]
    weight: Option<Share>,
    comparison: Comparison,
}

impl From<&domain::AttendanceRules> for AttendanceBody {
    fn from(rules: &domain::AttendanceRules) -> Self {
        Self {
            admission: rules.admission.into(),
            delegated_units_max: rules.delegated_units_max,
            quorum: QuorumRulesBody {
                first_call: rules.quorum.first.into(),
                second_call: rules.quorum.second.map(Into::into),
            },
        }
    }
}

impl From<domain::QuorumRule> for QuorumRuleBody {
    fn from(rule: domain::QuorumRule) -> Self {
        Self {
            heads: rule.heads.map(Share),
            weight: rule.weight.map(Share),
            comparison: rule.comparison.into(),
        }
    }
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAttendance)]
pub(super) struct NewAttendanceBody {
    /// `channel` when absent.
    admission: Option<Admission>,
    /// 3 when absent.
    delegated_units_max: Option<u16>,
    quorum: Option<NewQuorumRulesBody>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewQuorumRules)]
struct NewQuorumRulesBody {
    /// More than half of the weight when absent.
    first_call: Option<NewQuorumRuleBody>,
    /// Any number when absent; `null` when there is no second call.
    #[serde(default)]
    #[schema(value_type = Option<NewQuorumRuleBody>)]
    second_call: Member<NewQuorumRuleBody>,
}

/// What a call needs: the shares that are given, and no other.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewQuorumRule)]
struct NewQuorumRuleBody {
    /// Share of the members, such as `1/2`.
    #[schema(value_type = Option<String>, pattern = r"^\d+/\d+$")]
    heads: Option<Share>,
    /// Share of the weight of all units.
    #[schema(value_type = Option<String>, pattern = r"^\d+/\d+$")]
    weight: Option<Share>,
    /// `more_than` when absent.
    comparison: Option<Comparison>,
}

impl From<NewQuorumRuleBody> for QuorumRulePatch {
    fn from(body: NewQuorumRuleBody) -> Self {
        let share = |share: Option<Share>| share.map_or(Change::Clear, |it| Change::Set(it.0));
        Self {
            heads: share(body.heads),
            weight: share(body.weight),
            comparison: body.comparison.map_or(Change::Clear, |it| Change::Set(it.into())),
        }
    }
}

impl From<NewAttendanceBody> for AttendancePatch {
    fn from(body: NewAttendanceBody) -> Self {
        let quorum = body.quorum.unwrap_or_default();
        Self {
            admission: Change::from_option(body.admission.map(Into::into)),
            delegated_units_max: Change::from_option(body.delegated_units_max),
            first_call: Change::from_option(quorum.first_call.map(Into::into)),
            second_call: change(quorum.second_call, Into::into),
        }
    }
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AttendancePatch)]
pub(super) struct AttendancePatchBody {
    #[serde(default)]
    #[schema(value_type = Option<Admission>)]
    admission: Member<Admission>,
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    delegated_units_max: Member<u16>,
    #[serde(default)]
    #[schema(value_type = Option<QuorumRulesPatchBody>)]
    quorum: Member<QuorumRulesPatchBody>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QuorumRulesPatch)]
struct QuorumRulesPatchBody {
    #[serde(default)]
    #[schema(value_type = Option<QuorumRulePatchBody>)]
    first_call: Member<QuorumRulePatchBody>,
    /// `null`: no second call.
    #[serde(default)]
    #[schema(value_type = Option<QuorumRulePatchBody>)]
    second_call: Member<QuorumRulePatchBody>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QuorumRulePatch)]
struct QuorumRulePatchBody {
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^\d+/\d+$")]
    heads: Member<Share>,
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^\d+/\d+$")]
    weight: Member<Share>,
    #[serde(default)]
    #[schema(value_type = Option<Comparison>)]
    comparison: Member<Comparison>,
}

impl From<QuorumRulePatchBody> for QuorumRulePatch {
    fn from(body: QuorumRulePatchBody) -> Self {
        Self {
            heads: change(body.heads, |share| share.0),
            weight: change(body.weight, |share| share.0),
            comparison: change(body.comparison, Into::into),
        }
    }
}

impl From<AttendancePatchBody> for AttendancePatch {
    fn from(body: AttendancePatchBody) -> Self {
        let (first_call, second_call) = match body.quorum {
            Member::Absent => (Change::Keep, Change::Keep),
            Member::Null => {
                let any = NewQuorumRuleBody::default().into();
                (Change::Clear, Change::Set(any))
            }
            Member::Value(quorum) => {
                (change(quorum.first_call, Into::into), change(quorum.second_call, Into::into))
            }
        };
        Self {
            admission: change(body.admission, Into::into),
            delegated_units_max: change(body.delegated_units_max, std::convert::identity),
            first_call,
            second_call,
        }
    }
}
