//! The first message to a member.

use crate::moderation::wire::{EvidenceView, IceServer, ServerMessage, SessionView, Welcome, You};
use crate::room::MemberHandle;
use crate::room::engine::{Crowd, RoomView};
use crate::room::event::TranscriptionView;
use crate::room::ports::EvidenceHead;

/// Makes the `welcome` of a member that enters or resumes.
pub(super) fn welcome(
    view: RoomView,
    evidence: Option<&EvidenceHead>,
    transcription: TranscriptionView,
    member: &MemberHandle,
    ice_servers: Vec<IceServer>,
    resume_token: String,
    resumed: bool,
) -> ServerMessage {
    let RoomView { info, you, crowd, chair, floor, quorum, votes, recording, seq, at } = view;
    let Crowd { participants, tracks } = crowd;
    ServerMessage::Welcome(Box::new(Welcome {
        you: You {
            user_id: you.user_id,
            name: you.name,
            roles: you.roles,
            connection_id: member.connection.to_string(),
            muted: you.muted,
            pictures_stopped: you.pictures_stopped,
            may_be_heard: you.may_be_heard,
            may_be_seen: you.may_be_seen,
        },
        session: SessionView {
            id: info.session.to_string(),
            title: info.title,
            modality: info.modality.to_owned(),
            provider: info.provider.as_str().to_owned(),
            meeting_url: info.meeting_url,
            recording: info.recording.enabled,
            live_viewing: info.live_viewing,
            started_at: info.started_at.map(|moment| moment.to_string()),
        },
        participants,
        tracks,
        chair,
        floor,
        quorum: Some(quorum),
        votes,
        recording,
        transcription,
        evidence: evidence.map(|head| EvidenceView {
            tree_size: head.tree_size,
            root: head.root.clone(),
            cose: head.cose.clone(),
        }),
        ice_servers,
        resume_token,
        server_time: at.to_string(),
        seq,
        resumed,
    }))
}
