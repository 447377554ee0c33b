//! Attendance in JSON: what is presented, who attends, the quorum, the eligible
//! list.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::json_forms::{Id, Moment, Place};
use crate::attendance::ports::EligibleList;
use crate::attendance::{
    Attendance, CoarseLocation, Consent, Decided, DeskDecision, Interval, Member, QuorumChange,
    Roll,
};
use crate::domain::attendance::{UnitId, Weight};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{ActionId, UserId};
use crate::domain::time::Timestamp;
use crate::room::engine::{Attendee, AttendeeAnswer};
use crate::room::event::{LeftOutView, QuorumState};

/// Longest token of a QR code, in bytes. A QR code holds fewer.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest code, in bytes.
const CODE_BYTES_MAX: usize = 64;
/// Most units that one registration delegates.
const REPRESENTS_MAX: usize = 1_000;

/// Where somebody is, to be kept coarsely and only with their consent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Location)]
pub(super) struct LocationBody {
    latitude: f64,
    longitude: f64,
    /// Whether the person agreed, for this validation. Without it the place is
    /// dropped; with it, it is kept to a tenth of a degree.
    consent: bool,
}

impl LocationBody {
    pub(super) fn coarse(&self) -> Option<CoarseLocation> {
        let consent = if self.consent { Consent::Given } else { Consent::NotGiven };
        CoarseLocation::new(self.latitude, self.longitude, consent)
    }
}

/// What a contextual QR code says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QrProof)]
pub(super) struct QrBody {
    /// The text of the code.
    pub(super) token: String,
    /// Where the person is. When absent: in the hall, if the session has one and
    /// the person is not connected to the room.
    pub(super) place: Option<Place>,
    pub(super) location: Option<LocationBody>,
}

/// A code that was sent by SMS or e-mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CodeProof)]
pub(super) struct CodeBody {
    /// The code.
    pub(super) code: String,
    /// How it was sent: `sms`, which is taken when absent, or `email`.
    pub(super) channel: Option<String>,
    /// As for a QR code.
    pub(super) place: Option<Place>,
    pub(super) location: Option<LocationBody>,
}

/// A biometric sample. Nothing of it is kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BiometricProof)]
pub(super) struct BiometricBody {
    /// Base64.
    pub(super) sample: String,
    /// What it is of: `face`, which is taken when absent, `fingerprint` or `voice`.
    pub(super) kind: Option<String>,
    /// As for a QR code.
    pub(super) place: Option<Place>,
    pub(super) location: Option<LocationBody>,
}

impl QrBody {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        check_length("token", &self.token, TOKEN_BYTES_MAX)
    }
}

impl CodeBody {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        check_word("channel", self.channel.as_deref(), &["sms", "email"])?;
        check_length("code", &self.code, CODE_BYTES_MAX)
    }
}

impl BiometricBody {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        check_word("kind", self.kind.as_deref(), &["face", "fingerprint", "voice"])?;
        if STANDARD.decode(&self.sample).is_err() {
            return Err(ApiError::malformed_field("sample", "is not base64"));
        }
        check_length("sample", &self.sample, usize::MAX)
    }
}

fn check_word(field: &str, word: Option<&str>, words: &[&str]) -> Result<(), ApiError> {
    if word.is_none_or(|word| words.contains(&word)) {
        return Ok(());
    }
    Err(ApiError::malformed_field(field, &format!("is none of {}", words.join(", "))))
}

fn check_length(field: &str, text: &str, bytes_max: usize) -> Result<(), ApiError> {
    if text.is_empty() {
        return Err(ApiError::malformed_field(field, "is empty"));
    }
    if text.len() > bytes_max {
        return Err(ApiError::malformed_field(field, &format!("is longer than {bytes_max} bytes")));
    }
    Ok(())
}

/// Somebody to be registered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Registration)]
pub(super) struct RegistrationBody {
    /// Who, as the eligible list names them, or whoever represents a unit.
    #[schema(value_type = String)]
    pub(super) user_id: Id<UserId>,
    /// Units of others that they represent.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    represents: Vec<Id<UnitId>>,
    /// Names the decision, to take it back; one is made when it is missing.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub(super) decision: Option<Id<ActionId>>,
}

impl RegistrationBody {
    pub(super) fn units(self) -> Result<(UserId, Vec<UnitId>), ApiError> {
        if self.represents.len() > REPRESENTS_MAX {
            return Err(ApiError::malformed_field("represents", "names too many units"));
        }
        Ok((self.user_id.0, self.represents.into_iter().map(|unit| unit.0).collect()))
    }
}

/// How somebody is marked as left.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MarkLeft)]
pub(super) struct MarkLeftBody {
    /// Names the decision, to take it back; one is made when it is missing.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub(super) decision: Option<Id<ActionId>>,
}

/// What is taken back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TakeBack)]
pub(super) struct TakeBackBody {
    /// The decision, as it was named or as the answer named it.
    #[schema(value_type = String, format = Uuid)]
    pub(super) decision: Id<ActionId>,
}

/// A decision of the registration desk that can be taken back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeskDecision)]
struct DecisionBody {
    id: String,
    /// `register` or `mark_left`.
    action: &'static str,
}

impl From<&DeskDecision> for DecisionBody {
    fn from(decision: &DeskDecision) -> Self {
        let action = match decision.what {
            Decided::Registered { .. } => "register",
            Decided::MarkedLeft { .. } => "mark_left",
        };
        Self { id: decision.id.to_string(), action }
    }
}

/// A unit and what it weighs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Unit)]
pub(super) struct UnitBody {
    id: String,
    /// A decimal number.
    weight: String,
}

/// A span of being present.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PresenceInterval)]
struct IntervalBody {
    #[schema(value_type = String, format = DateTime)]
    from: Moment,
    /// `null` while it lasts.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Moment>,
    /// `qr`, `biometric`, `code`, `manual` or `channel`.
    method: String,
    /// `hall` or `remote`.
    place: String,
    /// Why it ended.
    cause: Option<String>,
}

impl From<&Interval> for IntervalBody {
    fn from(interval: &Interval) -> Self {
        Self {
            from: Moment(interval.from),
            until: interval.ended.map(|(until, _)| Moment(until)),
            method: interval.method.as_str().to_owned(),
            place: interval.place.as_str().to_owned(),
            cause: interval.ended.map(|(_, cause)| cause.as_str().to_owned()),
        }
    }
}

/// Somebody's presence.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attendee)]
pub(super) struct AttendeeBody {
    user_id: String,
    name: String,
    /// Whether they are on the eligible list.
    eligible: bool,
    present: bool,
    /// How it was known last.
    method: Option<String>,
    /// Where they were last.
    place: Option<String>,
    /// Weight of their own units, a decimal number.
    weight: String,
    units: Vec<UnitBody>,
    /// Units of others that they represent.
    represents: Vec<String>,
    /// The newest at the end.
    intervals: Vec<IntervalBody>,
    /// Intervals before those.
    earlier_intervals: u32,
    /// Time present so far, all intervals together.
    present_s: u64,
    /// What the registration desk decided last; `null` when there is nothing to take back.
    decision: Option<DecisionBody>,
}

impl AttendeeBody {
    pub(super) fn new(attendee: &Attendee, now: Timestamp) -> Self {
        let person = &attendee.person;
        let last = person.intervals.back();
        let proven = person.hall.or(person.remote);
        let method = proven.or_else(|| last.map(|interval| interval.method));
        Self {
            user_id: attendee.user_id.as_str().to_owned(),
            name: attendee.name.clone(),
            eligible: attendee.member,
            present: person.is_present(),
            method: method.map(|method| method.as_str().to_owned()),
            place: last.map(|interval| interval.place.as_str().to_owned()),
            weight: attendee.weight().to_string(),
            units: attendee.units.iter().map(|(id, weight)| unit_body(id, *weight)).collect(),
            represents: attendee.represents.iter().map(ToString::to_string).collect(),
            intervals: person.intervals.iter().map(Into::into).collect(),
            earlier_intervals: person.earlier.count,
            present_s: person.total(now).as_secs(),
            decision: person.decision.as_ref().map(Into::into),
        }
    }
}

/// Somebody as an answer to what was just done about them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttendeeAnswer)]
pub(super) struct AttendeeAnswerBody {
    #[serde(flatten)]
    attendee: AttendeeBody,
    /// Number of the room's newest event that this takes into account. An event with a higher
    /// number tells something newer.
    last_seq: u64,
}

impl AttendeeAnswerBody {
    pub(super) fn new(answer: &AttendeeAnswer, now: Timestamp) -> Self {
        let attendee = AttendeeBody::new(&answer.attendee, now);
        Self { attendee, last_seq: answer.last_seq }
    }
}

fn unit_body(id: &UnitId, weight: Weight) -> UnitBody {
    UnitBody { id: id.to_string(), weight: weight.to_string() }
}

/// A page of those who attend or attended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttendeePage)]
pub(super) struct AttendeePageBody {
    /// By user id.
    pub(super) items: Vec<AttendeeBody>,
    /// What to ask the next page with; `null` on the last.
    pub(super) next_cursor: Option<String>,
}

/// The quorum, and when it was reached and lost.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuorumNow)]
pub(super) struct QuorumBody {
    #[serde(flatten)]
    now: QuorumState,
    /// The oldest first, at most 1,000.
    history: Vec<QuorumChangeBody>,
}

/// A quorum was reached or lost.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuorumChange)]
struct QuorumChangeBody {
    #[schema(value_type = String, format = DateTime)]
    at: Moment,
    call: String,
    /// Whether it was reached, else lost.
    reached: bool,
    heads_present: u32,
    weight_present: String,
}

impl QuorumBody {
    pub(super) fn new(attendance: &Attendance) -> Self {
        let history = attendance.history().map(|change: &QuorumChange| QuorumChangeBody {
            at: Moment(change.at),
            call: change.call.as_str().to_owned(),
            reached: change.reached,
            heads_present: change.tally.heads_present,
            weight_present: change.tally.weight_present.to_string(),
        });
        let now = QuorumState::new(attendance, &attendance.quorum());
        Self { now, history: history.collect() }
    }
}

/// The quorum by a list that was given, and what of it was left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GivenEligibleList)]
pub(super) struct GivenListBody {
    #[serde(flatten)]
    quorum: QuorumBody,
    /// Delegations of the list that do not hold.
    delegations_left_out: Vec<LeftOutView>,
}

impl GivenListBody {
    pub(super) fn new(attendance: &Attendance) -> Self {
        Self { quorum: QuorumBody::new(attendance), delegations_left_out: left_out(attendance) }
    }
}

/// Delegations of the list that do not hold.
pub(super) fn left_out(attendance: &Attendance) -> Vec<LeftOutView> {
    attendance.left_out().map(|it| LeftOutView::new(attendance, it)).collect()
}

/// Somebody who may attend in their own right.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EligiblePerson)]
pub(super) struct EligibleBody {
    user_id: String,
    name: String,
    weight: String,
    units: Vec<EligibleUnitBody>,
    present: bool,
    /// How it is known, while they are present.
    method: Option<String>,
}

/// A unit, and who represents it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EligibleUnit)]
struct EligibleUnitBody {
    id: String,
    weight: String,
    /// Who represents it at the moment: its member, or the delegate.
    represented_by: Option<String>,
}

impl EligibleBody {
    pub(super) fn new(attendance: &Attendance, member: &Member) -> Self {
        let attendee = Attendee::of(attendance, &member.user_id);
        let last = attendee.person.intervals.back().filter(|last| last.ended.is_none());
        let units = member.units.iter().map(|(id, weight)| EligibleUnitBody {
            id: id.to_string(),
            weight: weight.to_string(),
            represented_by: attendance.representative(id).map(|user| user.as_str().to_owned()),
        });
        Self {
            user_id: member.user_id.as_str().to_owned(),
            name: member.name.clone(),
            weight: attendee.weight().to_string(),
            units: units.collect(),
            present: last.is_some(),
            method: last.map(|last| last.method.as_str().to_owned()),
        }
    }
}

/// A page of the eligible list.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = EligiblePage)]
pub(super) struct EligiblePageBody {
    /// By name.
    pub(super) items: Vec<EligibleBody>,
    /// What to ask the next page with; `null` on the last.
    pub(super) next_cursor: Option<String>,
    /// Members on the whole list.
    pub(super) total: u32,
    /// SHA-256 of the whole list in hexadecimal, as the log has it; `null` while none is known.
    /// Pages with different ones are of different lists.
    pub(super) sha256: Option<String>,
    /// Delegations of the list that do not hold, on the first page; for moderators and auditors.
    pub(super) delegations_left_out: Vec<LeftOutView>,
}

/// A weight: a decimal number of at most six places, as text or as a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct WeightText(Weight);

impl<'de> Deserialize<'de> for WeightText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Number(serde_json::Number),
        }
        let text = match Either::deserialize(deserializer)? {
            Either::Text(text) => text,
            Either::Number(number) => number.to_string(),
        };
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// An eligible list, given where no service has it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEligibleList, example = json!({
    "members": [
        {"user_id": "ana", "name": "Ana Ruiz", "units": [{"id": "Torre A 101", "weight": "1.25"}]},
        {"user_id": "ben", "name": "Ben Gil", "units": [{"id": "Torre A 102", "weight": 1}]}
    ],
    "delegations": [{"unit": "Torre A 102", "user_id": "ana"}]
}))]
pub(super) struct NewEligibleListBody {
    members: Vec<NewMemberBody>,
    #[serde(default)]
    delegations: Vec<NewDelegationBody>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEligiblePerson)]
struct NewMemberBody {
    #[schema(value_type = String)]
    user_id: Id<UserId>,
    name: String,
    #[serde(default)]
    units: Vec<NewUnitBody>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUnit)]
struct NewUnitBody {
    #[schema(value_type = String)]
    id: Id<UnitId>,
    /// A decimal number of at most six places, as text or as a number.
    #[schema(value_type = String)]
    weight: WeightText,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDelegation)]
struct NewDelegationBody {
    #[schema(value_type = String)]
    unit: Id<UnitId>,
    /// Who represents it.
    #[schema(value_type = String)]
    user_id: Id<UserId>,
}

impl NewEligibleListBody {
    pub(super) fn into_list(self) -> Result<EligibleList, ApiError> {
        let mut members = Vec::with_capacity(self.members.len());
        for body in self.members {
            let count = body.units.len();
            let units: std::collections::BTreeMap<_, _> =
                body.units.into_iter().map(|unit| (unit.id.0, unit.weight.0)).collect();
            if units.len() != count {
                return Err(invalid_list("a unit is listed twice"));
            }
            members.push(Member { user_id: body.user_id.0, name: body.name, units });
        }
        let roll = Roll::new(members).map_err(|error| invalid_list(&error.to_string()))?;
        let delegated =
            self.delegations.into_iter().map(|body| (body.unit.0, body.user_id.0)).collect();
        Ok(EligibleList { roll, delegated })
    }
}

fn invalid_list(problem: &str) -> ApiError {
    ApiError::new(ErrorCode::UnprocessableRequest, problem)
}
