//! A list of attendance as it is embedded in its document.

use serde::Deserialize;

/// The list as it is embedded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "fields that the log has nothing to compare with are only required")]
pub(super) struct List {
    pub(super) v: u64,
    pub(super) kind: String,
    pub(super) session: String,
    pub(super) assembly: String,
    pub(super) title: String,
    pub(super) modality: String,
    pub(super) started_at: Option<String>,
    pub(super) ended_at: Option<String>,
    pub(super) made_at: String,
    pub(super) log: LogAt,
    pub(super) figures: Figures,
    pub(super) quorum: Option<QuorumAt>,
    pub(super) quorum_turns: Vec<QuorumAt>,
    pub(super) rows: Vec<Row>,
    /// Since version 2.
    pub(super) representations: Option<Vec<Representation>>,
    /// Since version 3.
    pub(super) representations_left_out: Option<Vec<NotRepresented>>,
}

/// That somebody does not represent a unit, although the eligible list says so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as of the list")]
pub(super) struct NotRepresented {
    pub(super) unit: String,
    pub(super) user_id: String,
    pub(super) reason: String,
}

/// That somebody represented the unit of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Representation {
    pub(super) unit: String,
    pub(super) user_id: String,
    pub(super) from: Option<String>,
    pub(super) until: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as of the list")]
pub(super) struct LogAt {
    pub(super) id: String,
    pub(super) tree_size: u64,
    pub(super) root: String,
    pub(super) signed_at: String,
    pub(super) verify_at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Figures {
    pub(super) people: u64,
    pub(super) present: u64,
    pub(super) intervals: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuorumAt {
    pub(super) at: String,
    pub(super) call: String,
    pub(super) reached: bool,
    pub(super) heads_present: u32,
    pub(super) heads_total: u32,
    pub(super) weight_present: String,
    pub(super) weight_total: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as of the list")]
pub(super) struct Row {
    pub(super) user_id: String,
    pub(super) name: String,
    pub(super) weight: String,
    pub(super) units: Vec<String>,
    pub(super) represents: Vec<String>,
    pub(super) from: Option<String>,
    pub(super) until: Option<String>,
    pub(super) method: String,
    pub(super) place: String,
    pub(super) cause: Option<String>,
}
