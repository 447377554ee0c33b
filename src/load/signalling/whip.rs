//! WHIP (RFC 9725) and WHEP.

use super::{Access, Server, refusal, unreachable};
use crate::domain::media::MediaKind;
use crate::load::LoadError;
use crate::load::client::{ClientOptions, MediaClient, TrackOptions};
use crate::load::driver::{ClientHandle, Driver, Timed};

/// One WHIP or WHEP resource and its transport.
pub struct WebResource {
    server: Server,
    location: String,
    access: Access,
    /// The transport.
    pub client: ClientHandle,
    /// Events of the transport.
    pub events: tokio::sync::mpsc::Receiver<Timed>,
}

impl WebResource {
    /// Publishes these tracks in a session.
    pub async fn publish(
        server: &Server,
        driver: &Driver,
        access: &Access,
        session_id: &str,
        options: ClientOptions,
        tracks: &[TrackOptions],
    ) -> Result<Self, LoadError> {
        let client = MediaClient::publisher(options, tracks);
        Self::create(server, driver, access, &format!("{session_id}/whip"), client).await
    }

    /// Plays the audio and video of a session.
    pub async fn play(
        server: &Server,
        driver: &Driver,
        access: &Access,
        session_id: &str,
        options: ClientOptions,
    ) -> Result<Self, LoadError> {
        let client = MediaClient::viewer(options, &[MediaKind::Audio, MediaKind::Video]);
        Self::create(server, driver, access, &format!("{session_id}/whep"), client).await
    }

    async fn create(
        server: &Server,
        driver: &Driver,
        access: &Access,
        path: &str,
        mut client: MediaClient,
    ) -> Result<Self, LoadError> {
        let offer = client.offer();
        let url = format!("{}/api/v1/sessions/{path}", server.url);
        let request = server
            .http
            .post(&url)
            .header("authorization", format!("DPoP {}", access.token))
            .header("dpop", access.key.proof("POST", &url, &access.token, None))
            .header("content-type", "application/sdp")
            .body(offer);
        let response = request.send().await.map_err(unreachable)?;
        if response.status().as_u16() != 201 {
            return Err(refusal(response).await);
        }
        let location = response.headers().get("location").and_then(|value| value.to_str().ok());
        let location = location.ok_or(LoadError::Contract("no Location"))?.to_owned();
        let answer = response.text().await.map_err(unreachable)?;
        let (client, events) = driver.add(client);
        client
            .call(move |client, now| client.handle_answer(&answer, now))
            .await
            .ok_or(LoadError::Contract("the load driver has stopped"))??;
        Ok(Self { server: server.clone(), location, access: access.clone(), client, events })
    }

    /// Deletes the resource, which ends the transport.
    pub async fn delete(self) -> Result<(), LoadError> {
        let url = if self.location.starts_with("http") {
            self.location.clone()
        } else {
            format!("{}{}", self.server.url, self.location)
        };
        let Access { token, key } = &self.access;
        let request = self
            .server
            .http
            .delete(&url)
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", key.proof("DELETE", &url, token, None));
        let response = request.send().await.map_err(unreachable)?;
        if response.status().is_success() { Ok(()) } else { Err(refusal(response).await) }
    }
}
