//! This server, with its own signalling: development token, proof of possession, moderation
//! channel.

use std::ffi::OsStr;
use std::path::Path;

use async_trait::async_trait;
use cabildo::load::LoadError;
use cabildo::load::client::TrackOptions;
use cabildo::load::signalling::{Participant, Server, Who};
use serde_json::json;

use crate::joined::Joined;
use crate::measure::{Case, Entry, MediaServer};
use crate::process::Process;

pub(crate) struct Own {
    process: Process,
    server: Server,
    /// Tenant and id of each session.
    sessions: Vec<(String, String)>,
}

impl Own {
    /// Starts a development server and the sessions of a case.
    pub(crate) async fn start(program: &Path, case: &Case) -> Result<Self, LoadError> {
        let place = tempfile::tempdir()?;
        let loopback = OsStr::new("127.0.0.1:0");
        let arguments = [
            OsStr::new("serve"),
            OsStr::new("--dev"),
            OsStr::new("--http"),
            loopback,
            OsStr::new("--internal"),
            loopback,
            OsStr::new("--media"),
            loopback,
            OsStr::new("--data-dir"),
            place.path().as_os_str(),
        ]
        .map(OsStr::to_owned);
        let arguments: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        let (process, ready) = Process::start(program, &arguments, place, "ready ").await?;
        let http = ready.split(' ').find_map(|part| part.strip_prefix("http="));
        let http = http.ok_or(LoadError::Contract("no address of the public listener"))?;
        let mut own =
            Self { process, server: Server::new(&format!("http://{http}"))?, sessions: Vec::new() };
        for room in 0..case.rooms {
            // Each room has a tenant of its own, so that limits of a tenant do not affect the
            // result.
            let tenant_id = uuid::Uuid::now_v7().to_string();
            let body = json!({
                "tenant_id": tenant_id,
                "assembly_id": uuid::Uuid::now_v7().to_string(),
                "title": format!("Beside other servers, room {}", room + 1),
                "modality": "virtual",
                "moderation": "open",
            });
            let session = own.server.post("/dev/sessions", &body).await?;
            let id = session["id"].as_str().ok_or(LoadError::Contract("no session id"))?.to_owned();
            let start = format!("{}/dev/sessions/{id}/start", own.server.url);
            let started = own.server.http.post(start).send().await;
            if !started.is_ok_and(|response| response.status().is_success()) {
                return Err(LoadError::Contract("a session did not start"));
            }
            own.sessions.push((tenant_id, id));
        }
        Ok(own)
    }

    async fn enter(&self, entry: &Entry<'_>, name: &str) -> Result<Participant, LoadError> {
        let (tenant_id, session_id) = self.sessions[entry.room].clone();
        let who = Who {
            tenant_id,
            session_id,
            user_id: format!("{name}-{}", entry.number),
            name: format!("{name} {}", entry.number),
            roles: vec!["participant".to_owned()],
        };
        Participant::join(&self.server, entry.driver, &who, entry.options.clone()).await
    }
}

#[async_trait]
impl MediaServer for Own {
    fn process(&self) -> &Process {
        &self.process
    }

    async fn publish(
        &self,
        entry: Entry<'_>,
        tracks: &[TrackOptions],
    ) -> Result<Joined, LoadError> {
        let mut participant = self.enter(&entry, "publisher").await?;
        participant.publish(entry.driver, tracks).await?;
        Ok(Joined::publisher(participant))
    }

    async fn subscribe(&self, entry: Entry<'_>, _publishers: u32) -> Result<Joined, LoadError> {
        let participant = self.enter(&entry, "subscriber").await?;
        participant.subscribe_all().await?;
        Ok(Joined::subscriber(participant))
    }
}
