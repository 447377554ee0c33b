// Made from the server's types by `make wire-types`; not edited by hand.

/**
 * An event of a room. On the wire it carries `seq` and `at` beside these fields.
 */
export type Event = { "type": "participant_joined" } & ParticipantView | { "type": "participant_left", 
/**
 * Who.
 */
user_id: string, 
/**
 * `left`, `disconnected` or `removed`.
 */
reason: string, } | { "type": "participant_updated" } & ParticipantView | { "type": "speech_request_received" } & RequestView | { "type": "speech_approved", 
/**
 * Which.
 */
request_id: string, 
/**
 * Whose.
 */
user_id: string, } | { "type": "speech_denied", 
/**
 * Which.
 */
request_id: string, 
/**
 * Whose.
 */
user_id: string, 
/**
 * Why, if the moderator said so.
 */
reason: string | null, } | { "type": "speech_cancelled", 
/**
 * Which.
 */
request_id: string, 
/**
 * Whose.
 */
user_id: string, } | { "type": "queue_updated", 
/**
 * Entries that wait no more.
 */
removed: Array<string>, 
/**
 * Entries that came or moved, in this order.
 */
placed: Array<PlacedView>, 
/**
 * Whether new requests are taken.
 */
open: boolean, } | { "type": "turn_started" } & TurnView | { "type": "turn_paused" } & TurnView | { "type": "turn_resumed" } & TurnView | { "type": "turn_extended" } & TurnView | { "type": "turn_warning", 
/**
 * Whole seconds left: 30 or 10.
 */
remaining_s: number, 
/**
 * Its id.
 */
turn_id: string, 
/**
 * The request it answers.
 */
request_id: string, 
/**
 * Whose.
 */
user_id: string, 
/**
 * Their name.
 */
name: string, 
/**
 * As in the request.
 */
kind: string, 
/**
 * Time given, seconds.
 */
limit_s: number, 
/**
 * Time used up to the event's `at`, milliseconds; may exceed the limit.
 */
used_ms: number, 
/**
 * Whether its clock runs.
 */
running: boolean, 
/**
 * Whether the hall microphone carries its voice.
 */
in_hall: boolean, } | { "type": "turn_ended", 
/**
 * `ended_by_speaker`, `stopped`, `replaced`, `removed`, `undone` or
 * `session_ended`.
 */
reason: string, 
/**
 * Its id.
 */
turn_id: string, 
/**
 * The request it answers.
 */
request_id: string, 
/**
 * Whose.
 */
user_id: string, 
/**
 * Their name.
 */
name: string, 
/**
 * As in the request.
 */
kind: string, 
/**
 * Time given, seconds.
 */
limit_s: number, 
/**
 * Time used up to the event's `at`, milliseconds; may exceed the limit.
 */
used_ms: number, 
/**
 * Whether its clock runs.
 */
running: boolean, 
/**
 * Whether the hall microphone carries its voice.
 */
in_hall: boolean, } | { "type": "user_muted", 
/**
 * Who.
 */
user_id: string, 
/**
 * By whom.
 */
by: string, } | { "type": "user_unmuted", 
/**
 * Who.
 */
user_id: string, 
/**
 * By whom.
 */
by: string, } | { "type": "pictures_stopped", 
/**
 * Whose.
 */
user_id: string, 
/**
 * By whom.
 */
by: string, } | { "type": "pictures_allowed", 
/**
 * Whose.
 */
user_id: string, 
/**
 * By whom.
 */
by: string, } | { "type": "language_changed", 
/**
 * Who.
 */
user_id: string, 
/**
 * The language, a BCP 47 tag; null for that of the session.
 */
language: string | null, 
/**
 * Who said so: themselves or a moderator.
 */
by: string, } | { "type": "active_speakers", 
/**
 * At most five.
 */
speakers: Array<SpeakerView>, } | { "type": "track_published" } & TrackView | { "type": "track_unpublished", 
/**
 * Which.
 */
track: string, 
/**
 * Whose.
 */
user_id: string, } | { "type": "moderation_changed", 
/**
 * `open` or `moderated`.
 */
moderation: string, 
/**
 * By whom.
 */
by: string, } | { "type": "chair_changed" } & NewChairView | { "type": "recording_state", 
/**
 * `recording`, `paused` or `stopped`.
 */
state: string, 
/**
 * The moderator who decided it; null for the session's policy or its end.
 */
by: string | null, 
/**
 * Days that the recording is kept after the session has ended.
 */
retention_days: number, } | { "type": "live_viewing_changed", 
/**
 * Whether they may.
 */
live_viewing: boolean, } | { "type": "meeting_changed", 
/**
 * Where people join it.
 */
meeting_url: string, } | { "type": "recording_acknowledged", 
/**
 * Who.
 */
user_id: string, } | { "type": "clock_stepped", 
/**
 * By how many milliseconds it was set forward; negative when back.
 */
by_ms: bigint, } | { "type": "action_undone", 
/**
 * The `type` of the message that had asked for it.
 */
action: string, 
/**
 * Who took it back.
 */
by: string, } | { "type": "attendance_changed" } & AttendanceView | { "type": "delegation_changed", 
/**
 * The unit.
 */
unit: string, 
/**
 * Who represents it.
 */
delegate: string, 
/**
 * Whether they do from here on, or no longer.
 */
represented: boolean, 
/**
 * The moderator who said so; null when the eligible list did.
 */
by: string | null, } | { "type": "quorum_changed" } & QuorumState | { "type": "vote_announced" } & VoteView | { "type": "chat", 
/**
 * Who.
 */
user_id: string, 
/**
 * Their name.
 */
name: string, 
/**
 * What, 1 to 2,000 characters.
 */
text: string, } | { "type": "transcript_chunk" } & TranscriptChunkView | { "type": "transcript_gap", 
/**
 * Who.
 */
participant: string, 
/**
 * In which turn.
 */
turn?: string, 
/**
 * When they began to speak, RFC 3339.
 */
from: string, 
/**
 * When they stopped.
 */
to: string, 
/**
 * `overload`, `engine_failed`, `engine_unavailable` or `bad_audio`.
 */
cause: string, } | { "type": "transcript_corrected", 
/**
 * `seq` of the `transcript_chunk`.
 */
of: number, 
/**
 * What was said, as the moderator has it.
 */
text: string, 
/**
 * Who corrected it.
 */
by: string, } | { "type": "session_ended", 
/**
 * `completed` or `cancelled`.
 */
reason: string, };

/**
 * An event with its place in the session.
 */
export type Told = { 
/**
 * Position in the session, from 1, without holes.
 */
seq: number, 
/**
 * When it was decided, RFC 3339.
 */
at: string, 
/**
 * Names the decision that it follows from, when that can be taken back with
 * `undo`, or that was taken back.
 */
action_id?: string, } & ({ "type": "participant_joined" } & ParticipantView | { "type": "participant_left", 
/**
 * Who.
 */
user_id: string, 
/**
 * `left`, `disconnected` or `removed`.
 */
reason: string, } | { "type": "participant_updated" } & ParticipantView | { "type": "speech_request_received" } & RequestView | { "type": "speech_approved", 
/**
 * Which.
 */
request_id: string, 
/**
 * Whose.
 */
user_id: string, } | { "type": "speech_denied", 
/**
 * Which.
 */
request_id: string, 
/**
 * Whose.
 */
user_id: string, 
/**
 * Why, if the moderator said so.
 */
reason: string | null, } | { "type": "speech_cancelled", 
/**
 * Which.
 */
request_id: string, 
/**
 * Whose.
 */
user_id: string, } | { "type": "queue_updated", 
/**
 * Entries that wait no more.
 */
removed: Array<string>, 
/**
 * Entries that came or moved, in this order.
 */
placed: Array<PlacedView>, 
/**
 * Whether new requests are taken.
 */
open: boolean, } | { "type": "turn_started" } & TurnView | { "type": "turn_paused" } & TurnView | { "type": "turn_resumed" } & TurnView | { "type": "turn_extended" } & TurnView | { "type": "turn_warning", 
/**
 * Whole seconds left: 30 or 10.
 */
remaining_s: number, 
/**
 * Its id.
 */
turn_id: string, 
/**
 * The request it answers.
 */
request_id: string, 
/**
 * Whose.
 */
user_id: string, 
/**
 * Their name.
 */
name: string, 
/**
 * As in the request.
 */
kind: string, 
/**
 * Time given, seconds.
 */
limit_s: number, 
/**
 * Time used up to the event's `at`, milliseconds; may exceed the limit.
 */
used_ms: number, 
/**
 * Whether its clock runs.
 */
running: boolean, 
/**
 * Whether the hall microphone carries its voice.
 */
in_hall: boolean, } | { "type": "turn_ended", 
/**
 * `ended_by_speaker`, `stopped`, `replaced`, `removed`, `undone` or
 * `session_ended`.
 */
reason: string, 
/**
 * Its id.
 */
turn_id: string, 
/**
 * The request it answers.
 */
request_id: string, 
/**
 * Whose.
 */
user_id: string, 
/**
 * Their name.
 */
name: string, 
/**
 * As in the request.
 */
kind: string, 
/**
 * Time given, seconds.
 */
limit_s: number, 
/**
 * Time used up to the event's `at`, milliseconds; may exceed the limit.
 */
used_ms: number, 
/**
 * Whether its clock runs.
 */
running: boolean, 
/**
 * Whether the hall microphone carries its voice.
 */
in_hall: boolean, } | { "type": "user_muted", 
/**
 * Who.
 */
user_id: string, 
/**
 * By whom.
 */
by: string, } | { "type": "user_unmuted", 
/**
 * Who.
 */
user_id: string, 
/**
 * By whom.
 */
by: string, } | { "type": "pictures_stopped", 
/**
 * Whose.
 */
user_id: string, 
/**
 * By whom.
 */
by: string, } | { "type": "pictures_allowed", 
/**
 * Whose.
 */
user_id: string, 
/**
 * By whom.
 */
by: string, } | { "type": "language_changed", 
/**
 * Who.
 */
user_id: string, 
/**
 * The language, a BCP 47 tag; null for that of the session.
 */
language: string | null, 
/**
 * Who said so: themselves or a moderator.
 */
by: string, } | { "type": "active_speakers", 
/**
 * At most five.
 */
speakers: Array<SpeakerView>, } | { "type": "track_published" } & TrackView | { "type": "track_unpublished", 
/**
 * Which.
 */
track: string, 
/**
 * Whose.
 */
user_id: string, } | { "type": "moderation_changed", 
/**
 * `open` or `moderated`.
 */
moderation: string, 
/**
 * By whom.
 */
by: string, } | { "type": "chair_changed" } & NewChairView | { "type": "recording_state", 
/**
 * `recording`, `paused` or `stopped`.
 */
state: string, 
/**
 * The moderator who decided it; null for the session's policy or its end.
 */
by: string | null, 
/**
 * Days that the recording is kept after the session has ended.
 */
retention_days: number, } | { "type": "live_viewing_changed", 
/**
 * Whether they may.
 */
live_viewing: boolean, } | { "type": "meeting_changed", 
/**
 * Where people join it.
 */
meeting_url: string, } | { "type": "recording_acknowledged", 
/**
 * Who.
 */
user_id: string, } | { "type": "clock_stepped", 
/**
 * By how many milliseconds it was set forward; negative when back.
 */
by_ms: bigint, } | { "type": "action_undone", 
/**
 * The `type` of the message that had asked for it.
 */
action: string, 
/**
 * Who took it back.
 */
by: string, } | { "type": "attendance_changed" } & AttendanceView | { "type": "delegation_changed", 
/**
 * The unit.
 */
unit: string, 
/**
 * Who represents it.
 */
delegate: string, 
/**
 * Whether they do from here on, or no longer.
 */
represented: boolean, 
/**
 * The moderator who said so; null when the eligible list did.
 */
by: string | null, } | { "type": "quorum_changed" } & QuorumState | { "type": "vote_announced" } & VoteView | { "type": "chat", 
/**
 * Who.
 */
user_id: string, 
/**
 * Their name.
 */
name: string, 
/**
 * What, 1 to 2,000 characters.
 */
text: string, } | { "type": "transcript_chunk" } & TranscriptChunkView | { "type": "transcript_gap", 
/**
 * Who.
 */
participant: string, 
/**
 * In which turn.
 */
turn?: string, 
/**
 * When they began to speak, RFC 3339.
 */
from: string, 
/**
 * When they stopped.
 */
to: string, 
/**
 * `overload`, `engine_failed`, `engine_unavailable` or `bad_audio`.
 */
cause: string, } | { "type": "transcript_corrected", 
/**
 * `seq` of the `transcript_chunk`.
 */
of: number, 
/**
 * What was said, as the moderator has it.
 */
text: string, 
/**
 * Who corrected it.
 */
by: string, } | { "type": "session_ended", 
/**
 * `completed` or `cancelled`.
 */
reason: string, });

/**
 * A member of the room, or its recorder: user id `cabildo:recorder`, the one
 * role `recorder`. It is there while the recording runs or is paused. A camera that
 * this server calls has the user id `cabildo:camera:` and its own one, and the one role
 * `camera`.
 */
export type ParticipantView = { 
/**
 * Who.
 */
user_id: string, 
/**
 * Name for people.
 */
name: string, 
/**
 * What they are: `participant`, `moderator`, `observer`, `hall`; `recorder`, `camera`.
 */
roles: Array<string>, 
/**
 * How many connections they have; 0 while a lost one may still come back.
 */
connections: number, 
/**
 * Whether their client says its microphone is on.
 */
audio: boolean, 
/**
 * Whether their client says its camera is on.
 */
video: boolean, 
/**
 * Whether their client says it shares a screen.
 */
screen: boolean, 
/**
 * Whether a moderator muted them.
 */
muted: boolean, 
/**
 * Whether a moderator stopped their cameras and screens.
 */
pictures_stopped: boolean, 
/**
 * Whether the server lets their sound pass at this moment.
 */
may_be_heard: boolean, 
/**
 * Whether the server shows their camera and screen.
 */
may_be_seen: boolean, 
/**
 * When they entered, RFC 3339.
 */
joined_at: string, 
/**
 * The language that they speak, a BCP 47 tag; absent when it is that of the session.
 */
language?: string, 
/**
 * Why the name of somebody who is not a moderator deserves a second look:
 * `moderator`, it looks like the name of a moderator who is somebody else;
 * `reserved`, it looks like one that stands for the server or an office.
 */
name_notice?: string, 
/**
 * Why nothing of a camera comes, or, as `sound_unsupported`, no sound: a word such as
 * `unreachable`, `codec_unsupported` or `unsupported_bframes`.
 */
media_fault?: string, };

/**
 * A track that can be subscribed to.
 */
export type TrackView = { 
/**
 * Its id.
 */
track: string, 
/**
 * Whose.
 */
user_id: string, 
/**
 * `audio` or `video`.
 */
kind: string, 
/**
 * `microphone`, `camera`, `screen` or `screen_audio`.
 */
source: string, 
/**
 * `opus`, `vp8`, `h264`, `vp9` or `av1`; of cameras also `pcmu` or `pcma`.
 */
codec: string, 
/**
 * How many encodings it has; `max_layer` of a subscription counts from 0.
 */
layers: number, };

/**
 * A request to speak.
 */
export type RequestView = { 
/**
 * Its id.
 */
request_id: string, 
/**
 * Whose.
 */
user_id: string, 
/**
 * Their name.
 */
name: string, 
/**
 * `normal`, `point_of_order`, `interposed_question` or `intervention`.
 */
kind: string, 
/**
 * `pro`, `contra` or `neutral`, if they said so.
 */
stance: string | null, 
/**
 * What about, if they said so.
 */
note: string | null, 
/**
 * When they asked, RFC 3339.
 */
requested_at: string, 
/**
 * Whether a moderator entered them for a person in the hall.
 */
in_hall: boolean, 
/**
 * As of a participant, for a person in the hall.
 */
name_notice?: string, 
/**
 * Turns this person has had in this session.
 */
previous_turns: number, };

/**
 * An approved request at its place in the waiting list.
 */
export type PlacedView = { 
/**
 * Which.
 */
request_id: string, 
/**
 * Right behind which other one; null for the first place.
 */
after: string | null, 
/**
 * The request, when it was not in the list before.
 */
request: RequestView | null, };

/**
 * A turn.
 */
export type TurnView = { 
/**
 * Its id.
 */
turn_id: string, 
/**
 * The request it answers.
 */
request_id: string, 
/**
 * Whose.
 */
user_id: string, 
/**
 * Their name.
 */
name: string, 
/**
 * As in the request.
 */
kind: string, 
/**
 * Time given, seconds.
 */
limit_s: number, 
/**
 * Time used up to the event's `at`, milliseconds; may exceed the limit.
 */
used_ms: number, 
/**
 * Whether its clock runs.
 */
running: boolean, 
/**
 * Whether the hall microphone carries its voice.
 */
in_hall: boolean, };

/**
 * Somebody who is heard.
 */
export type SpeakerView = { 
/**
 * Who.
 */
user_id: string, 
/**
 * By which track.
 */
track: string, 
/**
 * RFC 6464 level below overload: 0 loudest, 127 silence.
 */
level: number, };

/**
 * The floor as it stands.
 */
export type FloorView = { 
/**
 * `open` or `moderated`.
 */
moderation: string, 
/**
 * Whether new requests are taken.
 */
open: boolean, 
/**
 * Requests that wait for a moderator, by arrival.
 */
requested: Array<RequestView>, 
/**
 * Approved requests in the order they will speak.
 */
queue: Array<RequestView>, 
/**
 * Who holds the floor; its `used_ms` is as of the welcome's `server_time`.
 */
turn: TurnView | null, 
/**
 * Turns that an interposed question interrupted, innermost last.
 */
interrupted: Array<TurnView>, 
/**
 * Time of a turn when nobody says otherwise, seconds.
 */
default_turn_s: number, 
/**
 * Longest a turn may be, seconds.
 */
max_turn_s: number, 
/**
 * Whether an approved request starts at once when the floor is free.
 */
auto_start: boolean, 
/**
 * Whether points of order and interposed questions are taken while the list
 * is closed.
 */
points_of_order_pass_closed_list: boolean, 
/**
 * Whose cameras and screens are shown: `floor` or `all`.
 */
media_policy: string, };

/**
 * The recording as it stands for one member.
 */
export type RecordingView = { 
/**
 * `recording`, `paused` or `stopped`.
 */
state: string, 
/**
 * Whether the session's policy is to record. A moderator may have decided
 * otherwise.
 */
enabled: boolean, 
/**
 * Days that the recording is kept after the session has ended.
 */
retention_days: number, 
/**
 * Whether this member has said that they know of it.
 */
acknowledged: boolean, };

/**
 * A piece of speech as text.
 */
export type TranscriptChunkView = { 
/**
 * Who spoke: the owner of the microphone, or whoever had the hall's turn.
 */
participant: string, 
/**
 * In which turn, when it was in one of theirs.
 */
turn?: string, 
/**
 * What they said.
 */
text: string, 
/**
 * How sure the engine is of it, from 0 to 1.
 */
confidence: number, 
/**
 * When they began, RFC 3339.
 */
from: string, 
/**
 * When they stopped.
 */
to: string, 
/**
 * Whether the text stays. Only texts that do are events.
 */
final: boolean, 
/**
 * What recognised it.
 */
engine: string, 
/**
 * The language, a BCP 47 tag.
 */
language: string, };

/**
 * Whether what is said becomes text.
 */
export type TranscriptionView = { 
/**
 * `on`; `off`, when the session is not transcribed; `unavailable`, when it is to be and
 * this server can't.
 */
state: string, 
/**
 * The language of the session, a BCP 47 tag; null when it is recognised.
 */
language: string | null, 
/**
 * The languages that `set_language` takes, BCP 47 tags, and more exact tags of them; empty
 * unless the state is `on`.
 */
languages: Array<string>, };

/**
 * What became of somebody's presence.
 */
export type AttendanceView = { 
/**
 * `validated`: they proved that they are present or were registered;
 * `entered`; `left`; `corrected`: another eligible list gives them another name or weight.
 */
change: string, 
/**
 * Who.
 */
user_id: string, 
/**
 * Their name: as the eligible list has it, or else their access token.
 */
name: string, 
/**
 * Whether they are present now. Who proved it and is not connected to the
 * room is present once they are.
 */
present: boolean, 
/**
 * How it is known: `qr`, `biometric`, `code`, `manual` or `channel`.
 */
method: string, 
/**
 * `hall` or `remote`.
 */
place: string, 
/**
 * Why they left: `marked_left`, `taken_back`, `disconnected` or
 * `proof_required`.
 */
cause: string | null, 
/**
 * The moderator who registered them or marked them as left.
 */
by: string | null, 
/**
 * Weight of their own units, a decimal number.
 */
weight: string, };

/**
 * The quorum as it stands.
 */
export type QuorumState = { 
/**
 * The call that counts: `first` or `second`.
 */
call: string, 
/**
 * Members who are present or of whose units one is represented.
 */
heads_present: number, 
/**
 * Members on the eligible list.
 */
heads_total: number, 
/**
 * Weight of the units that are represented, a decimal number.
 */
weight_present: string, 
/**
 * Weight of all units.
 */
weight_total: string, 
/**
 * Share of the members that the call needs, such as `1/2`; null when their
 * number does not matter.
 */
heads_needed: string | null, 
/**
 * Share of the weight that the call needs.
 */
weight_needed: string | null, 
/**
 * `at_least` or `more_than` these shares.
 */
comparison: string, 
/**
 * Whether it is a quorum.
 */
reached: boolean, 
/**
 * Since when it is, or is not any more, RFC 3339; null when that never
 * changed.
 */
since: string | null, 
/**
 * Whether the eligible list is known. Without it nobody counts.
 */
roll_known: boolean, 
/**
 * Whether it was reached or lost by this very change.
 */
turned: boolean, };

/**
 * A delegation of the eligible list that does not hold.
 */
export type LeftOutView = { 
/**
 * The unit.
 */
unit: string, 
/**
 * Who would have represented it.
 */
user_id: string, 
/**
 * Their name; empty when nobody said it.
 */
name: string, 
/**
 * Why: `unit_not_found`, `own_unit`, `not_a_person`, `already_delegated`, `limit_reached` or
 * `full`.
 */
reason: string, 
/**
 * The code that entering it at the desk is refused with.
 */
code: string, 
/**
 * The same in words, for whoever makes the client.
 */
message: string, };

/**
 * An eligible list that the service gave and that is not taken.
 */
export type ListRefusedView = { 
/**
 * Why: `member_twice`, `unit_twice`, `member_invalid`, `unit_invalid`, `weight_invalid`,
 * `not_a_person`, `delegation_invalid`, `too_long` or `unreadable`.
 */
reason: string, 
/**
 * Which member of the list it is about, or which delegation, from 1.
 */
row: number | null, 
/**
 * The member or delegate, when their id is valid.
 */
user_id: string | null, 
/**
 * The unit, when its id is valid.
 */
unit: string | null, 
/**
 * The same in words, for whoever makes the client.
 */
message: string, };

/**
 * Which eligible list is known, and what of it does not hold.
 */
export type EligibleListView = { 
/**
 * SHA-256 of the list in hexadecimal, as the log has it; null while none is known.
 */
sha256: string | null, 
/**
 * Why nobody is on the list yet, when the service gave one that is not taken.
 */
refused: ListRefusedView | null, 
/**
 * Delegations of the list that do not hold, at most 50.
 */
delegations_left_out: Array<LeftOutView>, 
/**
 * How many there are.
 */
delegations_left_out_total: number, };

/**
 * Whoever presides. They may be away, or have left.
 */
export type ChairView = { 
/**
 * Who.
 */
user_id: string, 
/**
 * Their name when they took the chair.
 */
name: string, };

/**
 * Somebody who presides from now on.
 */
export type NewChairView = { 
/**
 * The moderator who took the chair; null for the first who entered, whom nobody chose.
 */
by: string | null, 
/**
 * Who.
 */
user_id: string, 
/**
 * Their name when they took the chair.
 */
name: string, };

/**
 * A vote of the assembly that has started. Votes are cast elsewhere.
 */
export type VoteView = { 
/**
 * The vote, as governance names it.
 */
vote_id: string, 
/**
 * What is voted on.
 */
title: string, 
/**
 * When it started, RFC 3339.
 */
started_at: string, 
/**
 * Until when votes can be cast, if governance said so.
 */
ends_at: string | null, };

/**
 * A message of a client. Every message may have an `id` (a string of 1 to 64 characters or an
 * integer) and is then answered by `ack` or `error`; the same `id` again on a connection or its
 * resumption is the same request. Messages that decide something may have `seen`, the `seq` of the
 * newest event that their sender had seen.
 */
export type ClientMessage = { "type": "authenticate", 
/**
 * Access token.
 */
token: string, 
/**
 * DPoP proof: `htm` GET, `htu` the channel's URL, `nonce` of `hello`, `ath`.
 */
dpop: string, } | { "type": "resume", 
/**
 * The resume token in the last `welcome` or `token_renewed`.
 */
resume_token: string, 
/**
 * `seq` of the last event received.
 */
last_seq: number, 
/**
 * Whether the client has lost its peer connections, as after a page reload. The server
 * then drops its transports too.
 */
media_lost?: boolean | null, } | { "type": "renew_token", 
/**
 * Access token.
 */
token: string, 
/**
 * DPoP proof with the `nonce` of `token_expiring`, or of `hello` when none came.
 */
dpop: string, } | { "type": "request_speech", 
/**
 * `normal`, `point_of_order`, `interposed_question` or `intervention`.
 */
kind: string, 
/**
 * `pro`, `contra` or `neutral`.
 */
stance?: string | null, 
/**
 * What the speech is about, at most 500 characters.
 */
note?: string | null, } | { "type": "cancel_speech", 
/**
 * The request.
 */
request_id?: string | null, } | { "type": "end_speech", } | { "type": "chat", 
/**
 * Shown without what hides or reorders, cut after 2,000 characters.
 */
text: string, } | { "type": "correct_transcript", 
/**
 * `seq` of the `transcript_chunk`.
 */
seq: number, 
/**
 * What was said. Shown without what hides or reorders, cut after 1,500 characters.
 */
text: string, } | { "type": "set_media", 
/**
 * Whether the microphone is on.
 */
audio: boolean, 
/**
 * Whether the camera is on.
 */
video: boolean, 
/**
 * Whether a screen is shared.
 */
screen: boolean, } | { "type": "set_language", 
/**
 * A BCP 47 tag that agrees with one of `welcome.transcription.languages`; null for the
 * language of the session.
 */
language: string | null, 
/**
 * Who, when a moderator says it of another person or device.
 */
user_id?: string | null, } | { "type": "ping", } | { "type": "approve_speech", 
/**
 * The request.
 */
request_id: string, } | { "type": "deny_speech", 
/**
 * The request.
 */
request_id: string, 
/**
 * The reason.
 */
reason?: string | null, } | { "type": "mute_user", 
/**
 * The person.
 */
user_id: string, } | { "type": "unmute_user", 
/**
 * The person.
 */
user_id: string, } | { "type": "stop_pictures", 
/**
 * The person.
 */
user_id: string, } | { "type": "allow_pictures", 
/**
 * The person.
 */
user_id: string, } | { "type": "start_turn", 
/**
 * The request to start; without it, the next one on the list.
 */
request_id?: string | null, 
/**
 * Time limit of the turn in seconds; without it, the session's default.
 */
limit_s?: number | null, } | { "type": "pause_turn", } | { "type": "resume_turn", } | { "type": "extend_turn", 
/**
 * Additional time in seconds.
 */
seconds: number, } | { "type": "stop_turn", } | { "type": "reorder_queue", 
/**
 * Ids of exactly the requests that wait, in the new order.
 */
order: Array<string>, } | { "type": "undo", 
/**
 * As its `ack` and its events carried it.
 */
action_id: string, } | { "type": "open_queue", } | { "type": "close_queue", } | { "type": "add_speaker", 
/**
 * The person.
 */
user_id: string, 
/**
 * Their name, when they are not in the room.
 */
name?: string | null, 
/**
 * As in `request_speech`; `normal` without it.
 */
kind?: string | null, } | { "type": "set_moderation", 
/**
 * `open` or `moderated`.
 */
moderation: string, } | { "type": "take_chair", } | { "type": "remove_participant", 
/**
 * The person.
 */
user_id: string, } | { "type": "admit", 
/**
 * The person.
 */
user_id: string, } | { "type": "start_recording", } | { "type": "pause_recording", } | { "type": "stop_recording", } | { "type": "acknowledge_recording", } | { "type": "offer", 
/**
 * Always `publish`.
 */
transport: TransportName, 
/**
 * Session description (RFC 8866).
 */
sdp: string, 
/**
 * The source of each section; without it, the first audio is a microphone, the first video
 * a camera, the second video a screen.
 */
tracks?: Array<SectionSource> | null, } | { "type": "answer", 
/**
 * Always `subscribe`.
 */
transport: TransportName, 
/**
 * Session description (RFC 8866).
 */
sdp: string, } | { "type": "candidate", 
/**
 * The transport.
 */
transport: TransportName, 
/**
 * The candidate attribute; empty or absent at the end.
 */
candidate?: string | null, 
/**
 * `mid` of its section.
 */
sdp_mid?: string | null, 
/**
 * Index of its section.
 */
sdp_m_line_index?: number | null, } | { "type": "restart_ice", 
/**
 * The transport.
 */
transport: TransportName, } | { "type": "subscribe", 
/**
 * The track.
 */
track: string, 
/**
 * Highest layer wanted; 0 is the lowest. Without it, the best one.
 */
max_layer?: number | null, 
/**
 * Whether nothing is wanted for now.
 */
paused?: boolean | null, } | { "type": "unsubscribe", 
/**
 * The track.
 */
track: string, };

/**
 * The `id` of a request, which its answer repeats.
 */
export type Reference = string | number;

/**
 * One of the two transports of a connection.
 */
export type TransportName = "publish" | "subscribe";

/**
 * The source of a section in a client's offer.
 */
export type SectionSource = { 
/**
 * `mid` of the section (RFC 9143).
 */
mid: string, 
/**
 * `microphone`, `camera`, `screen` or `screen_audio`.
 */
source: string, };

/**
 * The track that a section carries.
 */
export type SectionTrack = { 
/**
 * `mid` of the section (RFC 9143).
 */
mid: string, 
/**
 * The track.
 */
track: string, };

/**
 * A section of the client's offer that the server can't use, beside others that it can.
 */
export type RefusedSectionView = { 
/**
 * `mid` of the section (RFC 9143).
 */
mid: string, 
/**
 * Media type of its media line, such as `video`.
 */
media: string, 
/**
 * Why: `CODEC_UNSUPPORTED`, `PROTOCOL_UNSUPPORTED`, `RTCP_MUX_MISSING` or `BUNDLE_MISSING`.
 */
code: string, 
/**
 * The same in words, for whoever makes the client.
 */
message: string, };

/**
 * A STUN or TURN server, as in `RTCIceServer`.
 */
export type IceServer = { 
/**
 * Addresses (RFC 7064, RFC 7065).
 */
urls: Array<string>, 
/**
 * For TURN.
 */
username?: string, 
/**
 * For TURN.
 */
credential?: string, };

/**
 * The identity of the client.
 */
export type You = { 
/**
 * User id.
 */
user_id: string, 
/**
 * Name shown to people.
 */
name: string, 
/**
 * Roles.
 */
roles: Array<string>, 
/**
 * This connection, which stays the same when it is resumed.
 */
connection_id: string, 
/**
 * Whether a moderator has muted the person.
 */
muted: boolean, 
/**
 * Whether a moderator has stopped the person's cameras and screens.
 */
pictures_stopped: boolean, 
/**
 * Whether the server forwards the person's audio now.
 */
may_be_heard: boolean, 
/**
 * Whether the server lets their pictures pass at this moment.
 */
may_be_seen: boolean, };

/**
 * The session, with the values that members need.
 */
export type SessionView = { 
/**
 * Its id.
 */
id: string, 
/**
 * Its title.
 */
title: string, 
/**
 * `virtual`, `in_person` or `mixed`.
 */
modality: string, 
/**
 * Who carries its media: `webrtc`, which is this server, `google_meet` or `zoom`. With
 * the others there is no media on this channel.
 */
provider: string, 
/**
 * Where people join its meeting, when another provider carries its media.
 */
meeting_url: string | null, 
/**
 * Whether its policy is to record.
 */
recording: boolean, 
/**
 * Whether people who are not in it may watch it live. Pages then publish H.264, which viewers
 * get as it comes.
 */
live_viewing: boolean, 
/**
 * When it started, RFC 3339.
 */
started_at: string | null, };

/**
 * A message of the server, except events.
 */
export type ServerMessage = { "type": "hello", 
/**
 * Nonce for the DPoP proof; valid only for this connection.
 */
nonce: string, 
/**
 * Version of the channel: `cabildo.v1`.
 */
version: string, 
/**
 * Time of the server's clock, RFC 3339, with which proofs must be dated.
 */
server_time: string, } | { "type": "welcome" } & Welcome | { "type": "token_expiring", 
/**
 * When, RFC 3339.
 */
expires_at: string, 
/**
 * Nonce for the DPoP proof of `renew_token`.
 */
nonce: string, } | { "type": "token_renewed", 
/**
 * When it expires, RFC 3339.
 */
expires_at: string, 
/**
 * The new resume token, which replaces the earlier one.
 */
resume_token: string, 
/**
 * The servers for the client's transports with new credentials, which replace those of
 * `welcome` for new transports and ICE restarts.
 */
ice_servers: Array<IceServer>, } | { "type": "ack", 
/**
 * The request's `id`.
 */
ref: Reference, 
/**
 * The speech request made, for `request_speech` and `add_speaker`.
 */
request_id?: string, 
/**
 * Names the decision for `undo`, when it can be taken back.
 */
action_id?: string, 
/**
 * `seq` of the last event once the request was carried out. The request's own events
 * have come when this one has; a decision made before that does not know of them.
 */
last_seq?: number, } | { "type": "error", 
/**
 * The request's `id`, if it had one.
 */
ref?: Reference, 
/**
 * Stable code, in upper snake case.
 */
code: string, 
/**
 * Message for people.
 */
message: string, } | { "type": "pending", 
/**
 * The request's `id`.
 */
ref: Reference, } | { "type": "pong", 
/**
 * Time of the server's clock, RFC 3339.
 */
server_time: string, } | { "type": "offer", 
/**
 * Always `subscribe`.
 */
transport: TransportName, 
/**
 * Session description (RFC 8866).
 */
sdp: string, 
/**
 * The track that each section carries.
 */
tracks: Array<SectionTrack>, } | { "type": "answer", 
/**
 * The offer's `id`, if it had one.
 */
ref?: Reference, 
/**
 * Always `publish`.
 */
transport: TransportName, 
/**
 * RFC 8866.
 */
sdp: string, 
/**
 * The track that each section carries.
 */
tracks: Array<SectionTrack>, 
/**
 * The sections that the client wants to use and the server can't; absent when there are none.
 * What these would carry reaches nobody.
 */
refused?: Array<RefusedSectionView>, } | { "type": "track_refused", 
/**
 * The track.
 */
track: string, 
/**
 * In what it is sent, as in `track_published`.
 */
codec: string, } | { "type": "video_paused", 
/**
 * The tracks.
 */
tracks: Array<string>, } | { "type": "layers_unseen", 
/**
 * The track, as in the answer to the client's offer.
 */
track: string, 
/**
 * The encodings, by their `rid` (RFC 8851).
 */
rids: Array<string>, } | { "type": "transport_state", 
/**
 * The transport.
 */
transport: TransportName, 
/**
 * `connected` or `lost`. With a lost publish transport its tracks end, with a lost
 * subscribe transport its subscriptions end: the client makes a new peer connection and
 * offers or subscribes again.
 */
state: string, } | { "type": "transcript_chunk" } & TranscriptChunkView | { "type": "connection_quality", 
/**
 * The people.
 */
people: Array<PersonQualityView>, } | { "type": "eligible_list" } & EligibleListView | { "type": "evidence_head", 
/**
 * When it was signed, RFC 3339.
 */
at: string, 
/**
 * Number of entries that it covers.
 */
tree_size: number, 
/**
 * Root over these entries (RFC 9162), base64url.
 */
root: string, 
/**
 * The tagged `COSE_Sign1` message, base64url.
 */
cose: string, };

/**
 * How good the connection of a person is, as this server measures it.
 */
export type PersonQualityView = { 
/**
 * The person.
 */
user_id: string, 
/**
 * `good`, `fair`, `poor`, or `lost` when nothing comes any more.
 */
level: string, 
/**
 * What it is due to, when it is not good: `no_media`, `uplink_loss`, `downlink_loss`,
 * `downlink_bandwidth`, `delay`, `uplink_jitter`, `downlink_jitter` or `relayed_by_tcp`.
 */
cause: string | null, 
/**
 * The number of the cause: percent of packets, kilobits per second or milliseconds; `null` for
 * `no_media` and `relayed_by_tcp`.
 */
value: number | null, 
/**
 * Since when it has this level, RFC 3339.
 */
since: string, };

/**
 * The newest signed head of the session's log that the room knows.
 */
export type EvidenceView = { 
/**
 * Number of entries that it covers.
 */
tree_size: number, 
/**
 * Root over these entries (RFC 9162), base64url.
 */
root: string, 
/**
 * The tagged `COSE_Sign1` message, base64url.
 */
cose: string, };

/**
 * What a client needs to show the room.
 */
export type Welcome = { 
/**
 * The identity of the client.
 */
you: You, 
/**
 * The session.
 */
session: SessionView, 
/**
 * Everybody in the room, including the client, and the recorder while it is there.
 */
participants: Array<ParticipantView>, 
/**
 * All tracks that can be subscribed to.
 */
tracks: Array<TrackView>, 
/**
 * Who presides; null until a moderator has entered.
 */
chair: ChairView | null, 
/**
 * The speaking list and its turns.
 */
floor: FloorView, 
/**
 * How many are present, and whether they are a quorum.
 */
quorum: QuorumState | null, 
/**
 * Votes of the assembly that were announced and are not over, in the order in which they
 * started, the newest 50. Those that follow are told by `vote_announced`.
 */
votes: Array<VoteView>, 
/**
 * The state of the recording.
 */
recording: RecordingView, 
/**
 * Whether what is said becomes text.
 */
transcription: TranscriptionView, 
/**
 * The newest head of the session's log, once there is one.
 */
evidence: EvidenceView | null, 
/**
 * Servers for the client's transports.
 */
ice_servers: Array<IceServer>, 
/**
 * Token with which the connection can be resumed.
 */
resume_token: string, 
/**
 * Time of the server's clock, RFC 3339.
 */
server_time: string, 
/**
 * `seq` of the last event before this state. A client that has resumed, and missed only events
 * that the server still has, next receives the events after its `last_seq`.
 */
seq: number, 
/**
 * Whether this continues the earlier connection: the missed events follow, and its transports
 * still exist unless a `transport_state` that follows says otherwise.
 */
resumed: boolean, };

