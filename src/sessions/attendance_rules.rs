//! The rules of attendance as they are kept of a session: JSON.

use serde::{Deserialize, Serialize};

use crate::domain::quorum::{
    Admission, AttendanceRules, Comparison, QuorumRule, QuorumRules, Share,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesRecord {
    admission: String,
    delegated_units_max: u16,
    first: RuleRecord,
    second: Option<RuleRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleRecord {
    /// Numerator and denominator.
    heads: Option<(u32, u32)>,
    weight: Option<(u32, u32)>,
    comparison: String,
}

/// The text that is kept of rules.
#[must_use]
pub fn rules_text(rules: &AttendanceRules) -> String {
    let rule = |rule: QuorumRule| RuleRecord {
        heads: rule.heads.map(Share::parts),
        weight: rule.weight.map(Share::parts),
        comparison: rule.comparison.as_str().to_owned(),
    };
    let record = RulesRecord {
        admission: rules.admission.as_str().to_owned(),
        delegated_units_max: rules.delegated_units_max,
        first: rule(rules.quorum.first),
        second: rules.quorum.second.map(rule),
    };
    // It has no map with keys that are not texts, so this can't fail.
    serde_json::to_string(&record).unwrap_or_default()
}

/// The rules that were kept; `None` when nothing keeps such a text.
#[must_use]
pub fn read_rules(text: &str) -> Option<AttendanceRules> {
    let record: RulesRecord = serde_json::from_str(text).ok()?;
    Some(AttendanceRules {
        admission: Admission::parse(&record.admission)?,
        delegated_units_max: record.delegated_units_max,
        quorum: QuorumRules {
            first: rule_of(&record.first)?,
            second: match &record.second {
                Some(second) => Some(rule_of(second)?),
                None => None,
            },
        },
    })
}

fn rule_of(record: &RuleRecord) -> Option<QuorumRule> {
    let share = |parts: Option<(u32, u32)>| match parts {
        Some((numerator, denominator)) => Share::new(numerator, denominator).map(Some),
        None => Some(None),
    };
    Some(QuorumRule {
        heads: share(record.heads)?,
        weight: share(record.weight)?,
        comparison: Comparison::parse(&record.comparison)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back() {
        let third = Share::new(1, 3);
        let first = QuorumRule { heads: third, weight: None, comparison: Comparison::AtLeast };
        let rules = AttendanceRules {
            admission: Admission::Proof,
            delegated_units_max: 7,
            quorum: QuorumRules { first, second: None },
        };
        assert_eq!(read_rules(&rules_text(&rules)), Some(rules));
        assert_eq!(
            read_rules(&rules_text(&AttendanceRules::default())),
            Some(AttendanceRules::default())
        );
        let impossible = rules_text(&rules).replace("[1,3]", "[3,1]");
        assert_eq!(read_rules(&impossible), None);
    }
}
