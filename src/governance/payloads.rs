//! The messages of `proto/governance/events/v1`: protobuf, and JSON with the same
//! fields. A test compares them with the schema, field by field.

/// `assembly.activated.v1`: an assembly has begun.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct AssemblyActivated {
    /// Whose assembly.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The assembly.
    #[prost(string, tag = "2")]
    pub assembly_id: String,
    /// The one session that is meant; all sessions of the assembly when absent.
    #[prost(string, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// When.
    #[prost(string, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<String>,
}

/// `assembly.completed.v1`: an assembly is over.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct AssemblyCompleted {
    /// Whose assembly.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The assembly.
    #[prost(string, tag = "2")]
    pub assembly_id: String,
    /// The one session that is meant; all sessions of the assembly when absent.
    #[prost(string, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// When.
    #[prost(string, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
}

/// `vote.started.v1`: a vote can be cast from now on.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct VoteStarted {
    /// Whose assembly.
    #[prost(string, tag = "1")]
    pub tenant_id: String,
    /// The assembly.
    #[prost(string, tag = "2")]
    pub assembly_id: String,
    /// The one session that is meant; all sessions of the assembly when absent.
    #[prost(string, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The vote.
    #[prost(string, tag = "4")]
    pub vote_id: String,
    /// What is voted on, for people.
    #[prost(string, tag = "5")]
    pub title: String,
    /// When it started.
    #[prost(string, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// Until when votes can be cast, if that was said.
    #[prost(string, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
}
