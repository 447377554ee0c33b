//! The TypeScript types of the web client are the ones of the server. After a
//! change, run `make wire-types` and commit the file.

use std::fs;

use cabildo::moderation::wire;
use cabildo::room::event;
use ts_rs::{Config, TS};

use crate::package_root::package_root;

const FILE: &str = "web-client/src/generated/wire.ts";

fn declaration<T: TS>(config: &Config) -> String {
    let doc = T::docs().unwrap_or_default();
    format!("{doc}export {}\n\n", T::decl(config))
}

fn declarations() -> String {
    let config = Config::default();
    let mut text = String::from(
        "// Made from the server's types by `make wire-types`; not edited by hand.\n\n",
    );
    text += &declaration::<event::Event>(&config);
    text += &declaration::<event::Told>(&config);
    text += &declaration::<event::ParticipantView>(&config);
    text += &declaration::<event::TrackView>(&config);
    text += &declaration::<event::RequestView>(&config);
    text += &declaration::<event::PlacedView>(&config);
    text += &declaration::<event::TurnView>(&config);
    text += &declaration::<event::SpeakerView>(&config);
    text += &declaration::<event::FloorView>(&config);
    text += &declaration::<event::RecordingView>(&config);
    text += &declaration::<event::TranscriptChunkView>(&config);
    text += &declaration::<event::TranscriptionView>(&config);
    text += &declaration::<event::AttendanceView>(&config);
    text += &declaration::<event::QuorumState>(&config);
    text += &declaration::<event::LeftOutView>(&config);
    text += &declaration::<event::ListRefusedView>(&config);
    text += &declaration::<event::EligibleListView>(&config);
    text += &declaration::<event::ChairView>(&config);
    text += &declaration::<event::NewChairView>(&config);
    text += &declaration::<event::VoteView>(&config);
    text += &declaration::<wire::ClientMessage>(&config);
    text += &declaration::<wire::Reference>(&config);
    text += &declaration::<wire::TransportName>(&config);
    text += &declaration::<wire::SectionSource>(&config);
    text += &declaration::<wire::SectionTrack>(&config);
    text += &declaration::<wire::RefusedSectionView>(&config);
    text += &declaration::<wire::IceServer>(&config);
    text += &declaration::<wire::You>(&config);
    text += &declaration::<wire::SessionView>(&config);
    text += &declaration::<wire::ServerMessage>(&config);
    text += &declaration::<wire::PersonQualityView>(&config);
    text += &declaration::<wire::EvidenceView>(&config);
    text += &declaration::<wire::Welcome>(&config);
    text
}

#[test]
fn the_web_client_has_the_servers_types() {
    let path = package_root().join(FILE);
    let made = declarations();
    if std::env::var_os("CABILDO_WRITE_WIRE_TYPES").is_some() {
        fs::write(&path, &made).expect("the web client's directory is writable");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "{FILE} is not up to date: run `make wire-types`");
}

const DESCRIPTION: &str = "docs/asyncapi.json";

#[test]
fn the_channel_is_described_as_it_is() {
    let path = package_root().join(DESCRIPTION);
    let made = format!("{:#}\n", cabildo::moderation::describe::asyncapi());
    if std::env::var_os("CABILDO_WRITE_WIRE_TYPES").is_some() {
        fs::write(&path, &made).expect("the documentation's directory is writable");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "{DESCRIPTION} is not up to date: run `make wire-types`");
}
